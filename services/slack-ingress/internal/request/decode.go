package request

import (
	"encoding/json"
	"errors"
	"mime"
	"net/url"
	"time"
)

// ErrMalformed says that bytes are not what Slack sends at all: broken JSON, a
// broken form, or a form without the fields that name a request.
var ErrMalformed = errors.New("malformed request")

// Names are the slash commands as the workspace calls them, for the canonical
// "/deploy", "/check_status" and "/slipway" that an Envelope carries.
type Names map[string]string

// Canonical commands, as in an Envelope.
const (
	CommandDeploy  = "/deploy"
	CommandStatus  = "/check_status"
	CommandSlipway = "/slipway"
	CommandMention = "@"
)

// IsProbe tells whether an HTTP body is Slack's probe of our certificate, which
// is unsigned and wants nothing but 200.
func IsProbe(contentType string, body []byte) bool {
	if isJSON(contentType, body) {
		return false
	}
	form, err := url.ParseQuery(string(body))
	return err == nil && form.Get("ssl_check") == "1"
}

// Decode reads the body of a verified HTTP request of any of the three kinds.
// Whatever Slack may add tomorrow is Ignored; the error is ErrMalformed.
func Decode(contentType string, body []byte, names Names, received time.Time) (Delivery, error) {
	if isJSON(contentType, body) {
		return DecodeEvent(body, received)
	}
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return Delivery{}, ErrMalformed
	}
	switch {
	case len(form["payload"]) == 1:
		return DecodeInteraction([]byte(form.Get("payload")), received)
	case form.Get("command") != "" && len(form["payload"]) == 0:
		return decodeSlash(slashOf(form), names, received)
	default:
		return Delivery{}, ErrMalformed
	}
}

func isJSON(contentType string, body []byte) bool {
	media, _, err := mime.ParseMediaType(contentType)
	if err == nil && media != "" {
		return media == "application/json"
	}
	return len(body) > 0 && body[0] == '{'
}

// decodeJSON fills what it can of to. Broken JSON is ErrMalformed; a value of
// another type than expected reports false, for one odd field must not make
// Slack repeat the whole.
func decodeJSON(body []byte, to any) (bool, error) {
	if !json.Valid(body) {
		return false, ErrMalformed
	}
	return json.Unmarshal(body, to) == nil, nil
}
