package pipeline

import (
	eventv1 "github.com/slipway-hq/slipway/gen/slipway/event/v1"
)

// verdicts are the reactions that say how a run ended: one that goes away at the
// end cannot be among them.
var verdicts = map[string]bool{"white_check_mark": true, "x": true}

func (k *checker) mirror(path []string, m Mirror) {
	k.emoji(at(path, "reaction"), m.Reaction)
	if verdicts[m.Reaction] {
		k.fault(at(path, "reaction"), "%q says how a run ended, and this one is taken away then; choose another, such as eyes", m.Reaction)
	}
}

// mirror is the job's own or the namespace's.
func (n Namespace) mirror(j Job) Mirror {
	if j.Mirror != nil {
		return *j.Mirror
	}
	return n.Mirror
}

func (m Mirror) pin() *eventv1.Mirror {
	if m == (Mirror{}) {
		return nil
	}
	return &eventv1.Mirror{Reaction: m.Reaction, Pin: m.Pin}
}
