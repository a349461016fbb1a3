package topology

import (
	"crypto/sha256"
	"encoding/base32"
	"fmt"
	"strconv"
	"strings"
)

// Names of streams and buckets.
const (
	StreamInbox  = "INBOX"
	StreamEvents = "EVENTS"
	StreamWork   = "WORK"
	StreamLogs   = "LOGS"
	StreamDead   = "DEAD"
	StreamCanary = "CANARY"

	BucketLeases  = "LEASES"
	BucketCards   = "CARDS"
	BucketObjects = "OBJECTS"
)

// SubjectConfig is the one subject of the configuration aggregate.
const SubjectConfig = "ev.config"

// SubjectArchive is the one subject on which purges are announced.
const SubjectArchive = "ev.archive"

// SubjectQuery answers what needs no durable request: a core request carries a
// command.v1.Envelope, the reply a command.v1.Answer.
const SubjectQuery = "rpc.query"

// HeaderAnswer, on an INBOX message, names the subject that the first
// command.v1.Answer is published on. It is best effort: nobody may listen.
const HeaderAnswer = "Slipway-Answer"

const (
	prefixRun      = "ev.run."
	prefixLane     = "ev.lane."
	prefixSchedule = "ev.schedule."
	prefixRelay    = "ev.relay."
	prefixListen   = "ev.listen."
	prefixInbox    = "in."
	prefixWork     = "work."
	prefixLog      = "log."
	prefixDead     = "dead."
	prefixAnswer   = "answer."
	prefixNudge    = "nudge."
	prefixOffer    = "offer."
	prefixCanary   = "canary."
)

// RunSubject is the one subject of a run.
func RunSubject(id string) string { return prefixRun + id }

// ParseRunSubject returns the id of a run's subject.
func ParseRunSubject(subject string) (id string, ok bool) {
	return strings.CutPrefix(subject, prefixRun)
}

// LaneSubject is the one subject of a lane. Lane names are free text, so the
// subject carries a token: 26 characters of base32 over SHA-256 of the name.
func LaneSubject(lane string) string { return prefixLane + Token(lane) }

// IsLaneSubject tells whether subject is a lane's.
func IsLaneSubject(subject string) bool { return strings.HasPrefix(subject, prefixLane) }

// ScheduleSubject is the one subject of a schedule, "NAMESPACE/NAME".
func ScheduleSubject(schedule string) string { return prefixSchedule + Token(schedule) }

// IsScheduleSubject tells whether subject is a schedule's.
func IsScheduleSubject(subject string) bool { return strings.HasPrefix(subject, prefixSchedule) }

// RelaySubject is the one subject of a relay.
func RelaySubject(relay string) string { return prefixRelay + Token(relay) }

// IsRelaySubject tells whether subject is a relay's.
func IsRelaySubject(subject string) bool { return strings.HasPrefix(subject, prefixRelay) }

// ListenSubject is the one subject of a listener that asks every runner,
// "NAMESPACE/NAME".
func ListenSubject(listener string) string { return prefixListen + Token(listener) }

// InboxSubject is where a request of a kind ("slash", "mention", "press", "webhook", "note", "overheard", "caught") from
// an origin (a team id, any text) is stored.
func InboxSubject(kind, origin string) string { return prefixInbox + kind + "." + Safe(origin) }

// WorkSubject is where the hint for a run in a pool is published.
func WorkSubject(pool, run string) string { return prefixWork + Safe(pool) + "." + run }

// WorkFilter matches every hint of a pool.
func WorkFilter(pool string) string { return prefixWork + Safe(pool) + ".*" }

// AnswerSubject is where an ingress waits for one first answer.
func AnswerSubject(ingress, nonce string) string { return prefixAnswer + ingress + "." + nonce }

// NudgeSubject is where a runner incarnation is told, by a core message whose
// payload is the run's id, that somebody else has committed to a run it holds.
// It is best effort: the runner looks by itself every second.
func NudgeSubject(incarnation string) string { return prefixNudge + Safe(incarnation) }

// OfferSubject is where a runner incarnation is offered a run that not every
// runner of its pool may take, by a core message whose payload is a
// command.v1.Hint. It is best effort: what is not claimed is offered again.
func OfferSubject(incarnation string) string { return prefixOffer + Safe(incarnation) }

// DeadSubject is where a message that a service cannot handle is put.
func DeadSubject(service, reason string) string { return prefixDead + service + "." + Safe(reason) }

// LogSubject is where the output of one attempt under one fence is stored.
func LogSubject(run string, step, attempt uint32, fence uint64) string {
	return fmt.Sprintf("%s%s.%d.%d.%d", prefixLog, run, step, attempt, fence)
}

// LogFilter matches all output of a run.
func LogFilter(run string) string { return prefixLog + run + ".>" }

// LogAddress is a parsed LogSubject.
type LogAddress struct {
	Run           string
	Step, Attempt uint32
	Fence         uint64
}

// ParseLogSubject is the inverse of LogSubject.
func ParseLogSubject(subject string) (LogAddress, bool) {
	rest, ok := strings.CutPrefix(subject, prefixLog)
	parts := strings.Split(rest, ".")
	if !ok || len(parts) != 4 {
		return LogAddress{}, false
	}
	step, err1 := strconv.ParseUint(parts[1], 10, 32)
	attempt, err2 := strconv.ParseUint(parts[2], 10, 32)
	fence, err3 := strconv.ParseUint(parts[3], 10, 64)
	if err1 != nil || err2 != nil || err3 != nil {
		return LogAddress{}, false
	}
	return LogAddress{Run: parts[0], Step: uint32(step), Attempt: uint32(attempt), Fence: fence}, true
}

var lower32 = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// Token is a subject-safe name of any text: 26 characters, 128 bits of SHA-256.
func Token(text string) string {
	sum := sha256.Sum256([]byte(text))
	return lower32.EncodeToString(sum[:16])
}

// Safe returns text itself when it can be one subject token, else its Token.
func Safe(text string) string {
	for _, r := range text {
		if r != '-' && r != '_' && (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') {
			return Token(text)
		}
	}
	if text == "" || len(text) > 64 {
		return Token(text)
	}
	return text
}

// LeaseSubject is where the bucket of leases stores a key. A lease is renewed
// by publishing there, because an update through the bucket drops its TTL.
func LeaseSubject(key string) string { return "$KV." + BucketLeases + "." + key }
