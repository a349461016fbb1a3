package socket

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/gorilla/websocket"
	"github.com/slack-go/slack"
)

const (
	// Silence is how long nothing may be heard: Slack pings far more often.
	Silence = 30 * time.Second
	// dialTimeout bounds everything up to Slack's hello.
	dialTimeout = 15 * time.Second
	// writeTimeout bounds one frame.
	writeTimeout = 5 * time.Second
	// maxAck is what Slack takes as an acknowledgement; it drops longer ones
	// without a word.
	maxAck = 20 << 10
	// origin is what Slack's own clients name.
	origin = "https://api.slack.com"
)

// Types of frames that are no envelopes.
const (
	typeHello      = "hello"
	typeDisconnect = "disconnect"
)

var (
	// ErrToken: Slack does not take the app token, and will not later.
	ErrToken = errors.New("the token is refused")
	// ErrTooLong: Slack would not take an acknowledgement of that size.
	ErrTooLong = errors.New("the acknowledgement is too long")
)

// Envelope is one payload on its way.
type Envelope struct {
	ID      string          `json:"envelope_id"`
	Type    string          `json:"type"`
	Payload json.RawMessage `json:"payload"`
	// Accepts says that the acknowledgement may carry a message.
	Accepts bool `json:"accepts_response_payload"`
	// Reason is why Slack asks for another connection; of such a frame alone.
	Reason string `json:"reason"`
}

// Conn is one connection. Its methods may be called from any goroutine.
type Conn struct {
	ws    *websocket.Conn
	asked chan struct{} // closed when Slack asks for another connection
	gone  chan struct{} // closed when this one has ended
	ask   sync.Once
	end   sync.Once
	write sync.Mutex
}

// Dial opens a connection with the app token of api and returns when Slack has
// greeted. limit is the most bytes of one frame. The error wraps ErrToken, or is
// the library's where Slack says to wait.
func Dial(ctx context.Context, api *slack.Client, limit int64) (*Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	_, address, err := api.StartSocketModeContext(ctx)
	if err != nil {
		return nil, fmt.Errorf("open a connection: %w", refused(Unaddressed(err)))
	}
	dialer := &websocket.Dialer{Proxy: http.ProxyFromEnvironment, HandshakeTimeout: dialTimeout}
	ws, resp, err := dialer.DialContext(ctx, address, http.Header{"Origin": {origin}})
	if resp != nil {
		_ = resp.Body.Close() // nothing of it is read
	}
	if err != nil {
		return nil, fmt.Errorf("dial: %w", Unaddressed(err))
	}
	c := &Conn{ws: ws, asked: make(chan struct{}), gone: make(chan struct{})}
	ws.SetReadLimit(limit)
	defer context.AfterFunc(ctx, c.Close)()
	if err := c.greeted(); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// refusals are the words for a token that is no good.
var refusals = map[string]bool{"invalid_auth": true, "account_inactive": true, "not_authed": true, "token_revoked": true}

func refused(err error) error {
	var status slack.StatusCodeError
	if refusals[err.Error()] || errors.As(err, &status) && status.Code == http.StatusNotFound {
		return fmt.Errorf("%w: %w", ErrToken, err)
	}
	return err
}

// Unaddressed strips an address from an error: a ticket in it is a secret.
func Unaddressed(err error) error {
	var addressed *url.Error
	if errors.As(err, &addressed) {
		return addressed.Err
	}
	return err
}

// greeted waits for the hello; one connection too many is sent away instead.
func (c *Conn) greeted() error {
	c.listen()
	frame, err := c.next()
	switch {
	case err != nil:
		return fmt.Errorf("wait for the greeting: %w", err)
	case frame.Type != typeHello:
		return fmt.Errorf("Slack does not greet but says %s %s", frame.Type, frame.Reason) //nolint:staticcheck // a name
	}
	return nil
}

// listen notes every ping as a sign of life, and answers it.
func (c *Conn) listen() {
	pong := c.ws.PingHandler()
	c.ws.SetPingHandler(func(data string) error {
		if err := c.alive(); err != nil {
			return err
		}
		return pong(data)
	})
}

func (c *Conn) alive() error { return c.ws.SetReadDeadline(time.Now().Add(Silence)) }

// next reads one frame; one that is no JSON is an empty envelope.
func (c *Conn) next() (Envelope, error) {
	var e Envelope
	if err := c.alive(); err != nil {
		return e, err
	}
	_, data, err := c.ws.ReadMessage()
	if err != nil {
		return e, err
	}
	if json.Unmarshal(data, &e) != nil {
		return Envelope{}, nil
	}
	return e, nil
}

// Read hands on every envelope until the connection ends, and returns why it did.
// on must not block.
func (c *Conn) Read(on func(Envelope)) error {
	defer c.Close()
	for {
		e, err := c.next()
		switch {
		case err != nil:
			return err
		case e.Type == typeDisconnect:
			c.ask.Do(func() { close(c.asked) })
		case e.ID != "":
			on(e)
		}
	}
}

// Asked is closed when Slack asks for another connection in place of this one.
// After a warning this one still serves for some seconds.
func (c *Conn) Asked() <-chan struct{} { return c.asked }

// Gone is closed when the connection has ended.
func (c *Conn) Gone() <-chan struct{} { return c.gone }

// Close ends the connection. It may be called again.
func (c *Conn) Close() {
	c.end.Do(func() {
		close(c.gone)
		bye := websocket.FormatCloseMessage(websocket.CloseNormalClosure, "")
		_ = c.ws.WriteControl(websocket.CloseMessage, bye, time.Now().Add(time.Second)) // it may be broken
		_ = c.ws.Close()                                                                // it is being thrown away
	})
}

// ack is an acknowledgement; the payload is left out when there is none.
type ack struct {
	ID      string `json:"envelope_id"`
	Payload any    `json:"payload,omitempty"`
}

// Ack acknowledges an envelope of this connection, with a payload unless that is
// nil. The error wraps ErrTooLong, or says that the connection is gone.
func (c *Conn) Ack(id string, payload any) error {
	data, err := json.Marshal(ack{id, payload})
	if err != nil {
		return fmt.Errorf("encode an acknowledgement: %w", err)
	}
	if len(data) >= maxAck {
		return fmt.Errorf("%d bytes: %w", len(data), ErrTooLong)
	}
	c.write.Lock()
	defer c.write.Unlock()
	if err := c.ws.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
		return err
	}
	return c.ws.WriteMessage(websocket.TextMessage, data)
}
