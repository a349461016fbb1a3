package identity_test

import (
	"strings"
	"testing"

	"github.com/slipway-hq/slipway/domain/identity"
)

// Ids are stored for ever: this pins how they are derived.
func TestRunIDNeverChanges(t *testing.T) {
	const want = "d-goxa5yfjkocsb4rv6trpdekgje"
	if got := identity.RunID(identity.Deployment, "message|T1|C1|1.2"); got != want {
		t.Errorf("RunID = %q, want %q", got, want)
	}
}

func TestRunIDHasItsForm(t *testing.T) {
	d, j := identity.RunID(identity.Deployment, "x"), identity.RunID(identity.Job, "x")
	if !identity.IsRunID(d) || !identity.IsRunID(j) {
		t.Errorf("%q, %q are not of the form of an id", d, j)
	}
	if d[1:] != j[1:] || d[0] != 'd' || j[0] != 'j' {
		t.Errorf("%q and %q must differ in their kind alone", d, j)
	}
}

func TestShortIsAPrefix(t *testing.T) {
	id := identity.RunID(identity.Deployment, "x")
	short := identity.Short(id)
	if !strings.HasPrefix(id, short) || len(short) != len("d-")+identity.ShortLen {
		t.Errorf("Short(%q) = %q", id, short)
	}
	for _, same := range []string{"", "d-abc", "nonsense"} {
		if got := identity.Short(same); got != same {
			t.Errorf("Short(%q) = %q, want it unchanged", same, got)
		}
	}
}

func TestIsRunIDRefusesOtherText(t *testing.T) {
	for _, text := range []string{"", "d-", "x-" + strings.Repeat("a", 26), "d-" + strings.Repeat("A", 26), "d-" + strings.Repeat("1", 26), "d-" + strings.Repeat("a", 25)} {
		if identity.IsRunID(text) {
			t.Errorf("IsRunID(%q) = true", text)
		}
	}
}
