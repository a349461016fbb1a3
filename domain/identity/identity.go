// Package identity derives the id of a run from the request that asked for it,
// so that every delivery of one request, through any replica and at any time,
// names the same run.
//
// It is not for naming subjects (topology does) and knows nothing of what a run
// is (domain/run does). slack-ingress, orchestrator and the API use it alike.
// Invariants: an id depends on kind and identity alone, never on configuration
// or time; it carries 128 bits of SHA-256; it is safe as one subject token.
package identity

import (
	"crypto/sha256"
	"encoding/base32"
	"strings"
)

// Kind is what sort of run an id names; it is the id's first letter.
type Kind string

const (
	// Deployment is a run with a target.
	Deployment Kind = "d"
	// Job is a run without one.
	Job Kind = "j"
)

const (
	// idBytes of SHA-256 go into an id: 128 bits, so that two requests meet
	// once in 2^64.
	idBytes = 16
	// bodyLen is idBytes in base32 without padding.
	bodyLen = 26
	// ShortLen is how many characters behind the dash people see at least.
	ShortLen = 5
)

var lower32 = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// RunID is the id of the run that the request with this identity asks for:
// "d-" or "j-" and 26 characters of lower-case base32.
func RunID(kind Kind, identity string) string {
	sum := sha256.Sum256([]byte(identity))
	return string(kind) + "-" + lower32.EncodeToString(sum[:idBytes])
}

// KindOf is the kind of run that an id names.
func KindOf(id string) Kind {
	kind, _, _ := strings.Cut(id, "-")
	return Kind(kind)
}

// Short is the least of an id that is shown to people. It is a prefix of the
// id, but not always a unique one: only who knows all runs can lengthen it.
func Short(id string) string {
	kind, body, ok := strings.Cut(id, "-")
	if !ok || len(body) <= ShortLen {
		return id
	}
	return kind + "-" + body[:ShortLen]
}

// IsRunID tells whether text has the form of a full id.
func IsRunID(text string) bool {
	kind, body, ok := strings.Cut(text, "-")
	if !ok || (Kind(kind) != Deployment && Kind(kind) != Job) || len(body) != bodyLen {
		return false
	}
	for _, r := range body {
		if (r < 'a' || r > 'z') && (r < '2' || r > '7') {
			return false
		}
	}
	return true
}
