package slackapi

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// Outcome says what a failed call means.
type Outcome uint8

// The outcomes of a failed call.
const (
	// Unknown: Slack may or may not have done it.
	Unknown Outcome = iota + 1
	// Unsent: Slack has not seen the request.
	Unsent
	// Limited: refused for now; After says when to come back.
	Limited
	// Refused: Slack said no, and Code says why.
	Refused
)

// Error is a failed call.
type Error struct {
	Method  string
	Outcome Outcome
	Code    string        // Slack's error code of a refusal, or a word for the rest
	Needed  string        // the scope that is missing
	After   time.Duration // of Limited
	cause   error
}

// Error says which method failed and how.
func (e *Error) Error() string {
	text := "slack " + e.Method + ": " + e.Code
	if e.Needed != "" {
		text += " (needs " + e.Needed + ")"
	}
	if e.cause != nil {
		text = fmt.Sprintf("%s: %v", text, e.cause)
	}
	return text
}

// Unwrap returns what went wrong underneath.
func (e *Error) Unwrap() error { return e.cause }

// OutcomeOf is the outcome of err; Unknown for an error from elsewhere, 0 for nil.
func OutcomeOf(err error) Outcome {
	var e *Error
	switch {
	case err == nil:
		return 0
	case errors.As(err, &e):
		return e.Outcome
	}
	return Unknown
}

// CodeOf is Slack's error code in err; empty when it holds none.
func CodeOf(err error) string {
	var e *Error
	if errors.As(err, &e) && e.Outcome == Refused {
		return e.Code
	}
	return ""
}

// AfterOf is how long a limited method has to rest.
func AfterOf(err error) time.Duration {
	var e *Error
	if errors.As(err, &e) && e.Outcome == Limited {
		return e.After
	}
	return 0
}

// Credential tells whether err says that the token is not accepted: nothing
// works until somebody repairs that.
func Credential(err error) bool {
	return slices.Contains(credentialCodes, CodeOf(err))
}

var credentialCodes = []string{
	"not_authed", "invalid_auth", "account_inactive", "token_revoked", "token_expired", "not_allowed_token_type",
	"team_access_not_granted", "org_login_required", "ekm_access_denied", "access_denied", "accesslimited",
}

// unknownCodes are API errors after which Slack may have done the work
// ("may have partly succeeded").
var unknownCodes = []string{"internal_error", "fatal_error", "request_timeout", "service_unavailable"}

// limitedCodes come with ok:false instead of status 429.
var limitedCodes = []string{"ratelimited", "rate_limited", "message_limit_exceeded"}

func (c *Client) refused(method string, r answer) *Error {
	e := &Error{Method: method, Outcome: Refused, Code: r.Error, Needed: r.Needed}
	switch {
	case r.Error == "":
		e.Outcome, e.Code = Unknown, "an answer without a verdict"
	case slices.Contains(unknownCodes, r.Error):
		e.Outcome = Unknown
	case slices.Contains(limitedCodes, r.Error):
		e.Outcome, e.After = Limited, defaultRest
	}
	return e
}

// lost makes an Error of a call without an answer. connected tells whether
// Slack may have read any of it.
func lost(method string, connected bool, err error) *Error {
	e := &Error{Method: method, Outcome: Unknown, Code: "no answer", cause: err}
	if !connected {
		e.Outcome, e.Code = Unsent, "not reached"
	}
	if errors.Is(err, context.DeadlineExceeded) {
		e.cause = context.DeadlineExceeded // the original repeats the address
	}
	return e
}
