package sandbox_test

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/slack-go/slack"
	"github.com/slack-go/slack/socketmode"

	"github.com/slipway-hq/slipway/sandbox"
)

// listen runs slack-go's Socket Mode client until the test ends; handle sees every envelope.
func listen(t *testing.T, s *sandbox.Server, client *slack.Client, handle func(*socketmode.Client, socketmode.Event)) {
	t.Helper()
	before := s.SocketConnections()
	sm := socketmode.New(client)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = sm.RunContext(ctx)
	}()
	go func() {
		for e := range sm.Events {
			handle(sm, e)
		}
	}()
	t.Cleanup(func() { cancel(); <-done })
	wait(t, s, func(sandbox.State) bool { return s.SocketConnections() > before })
}

func TestSocketModeWithSlackGo(t *testing.T) {
	s, _, client := start(t, sandbox.Config{Delivery: sandbox.Socket, EventRetries: []time.Duration{0}})
	mentions := make(chan string, 10)
	handle := func(sm *socketmode.Client, e socketmode.Event) {
		switch e.Type {
		case socketmode.EventTypeSlashCommand:
			sm.Ack(*e.Request, map[string]any{"text": "got it"})
		case socketmode.EventTypeEventsAPI:
			sm.Ack(*e.Request)
			mentions <- string(e.Request.Payload)
		}
	}
	listen(t, s, client, handle)
	listen(t, s, client, handle)
	d, err := s.SlashCommand(t.Context(), sandbox.UserRequester, sandbox.ChannelDeploys, "/deploy", "web")
	if err != nil || !d.OK() {
		t.Fatalf("%+v %v", d, err)
	}
	if got := s.Ephemerals(sandbox.UserRequester, sandbox.ChannelDeploys); len(got) != 1 || got[0].Text != "got it" {
		t.Errorf("%+v", got)
	}
	posted, err := s.Post(t.Context(), sandbox.UserRequester, sandbox.ChannelDeploys, "@slipway status", "")
	if err != nil || !posted.Deliveries[0].OK() {
		t.Fatalf("%+v %v", posted, err)
	}
	var e struct {
		EventID string `json:"event_id"`
		Event   struct{ Type string }
	}
	if err := json.Unmarshal([]byte(<-mentions), &e); err != nil || e.Event.Type != "app_mention" || e.EventID != posted.Deliveries[0].EventID {
		t.Errorf("%+v %v", e, err)
	}
	s.DisconnectSockets(sandbox.DisconnectRefresh)
	wait(t, s, func(sandbox.State) bool { return s.SocketConnections() == 2 })
	if d, err := s.SlashCommand(t.Context(), sandbox.UserRequester, sandbox.ChannelDeploys, "/deploy", "web"); err != nil || !d.OK() {
		t.Errorf("after a refresh: %+v %v", d, err)
	}
}

// dial opens a bare connection that acknowledges nothing by itself.
func dial(t *testing.T, client *slack.Client) (*websocket.Conn, string) {
	t.Helper()
	_, address, err := client.StartSocketModeContext(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	conn, resp, err := websocket.DefaultDialer.DialContext(t.Context(), address, nil)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	t.Cleanup(func() { _ = conn.Close() })
	return conn, address
}

func read(t *testing.T, conn *websocket.Conn) map[string]any {
	t.Helper()
	if err := conn.SetReadDeadline(time.Now().Add(soon)); err != nil {
		t.Fatal(err)
	}
	var out map[string]any
	if err := conn.ReadJSON(&out); err != nil {
		t.Fatal(err)
	}
	return out
}

func TestSocketTicketsAreSingleUse(t *testing.T) {
	_, _, client := start(t, sandbox.Config{Delivery: sandbox.Socket})
	conn, address := dial(t, client)
	if hello := read(t, conn); hello["type"] != "hello" {
		t.Errorf("%v", hello)
	}
	_, resp, err := websocket.DefaultDialer.DialContext(t.Context(), address, nil)
	if err == nil {
		t.Fatal("a ticket was used twice")
	}
	_ = resp.Body.Close()
}

func TestEventGoesToAnotherConnectionWhenNotAcknowledged(t *testing.T) {
	s, _, client := start(t, sandbox.Config{Delivery: sandbox.Socket, AckTimeout: 50 * time.Millisecond, EventRetries: []time.Duration{0, 0, 0}})
	a, _ := dial(t, client)
	b, _ := dial(t, client)
	read(t, a)
	read(t, b)
	d := s.Event(t.Context(), map[string]any{"type": "app_mention", "channel": sandbox.ChannelDeploys})
	if d.Err != sandbox.ErrTimeout {
		t.Fatalf("%+v", d)
	}
	first, second := read(t, a), read(t, b)
	attempts := map[any]bool{first["retry_attempt"]: true, second["retry_attempt"]: true}
	if !attempts[float64(0)] || !attempts[float64(1)] {
		t.Errorf("%v", attempts)
	}
	one, two := first["payload"].(map[string]any), second["payload"].(map[string]any)
	if one["event_id"] != two["event_id"] {
		t.Error("a retry has another event_id")
	}
}

func TestTenConnectionsAtMost(t *testing.T) {
	s, _, client := start(t, sandbox.Config{Delivery: sandbox.Socket})
	for range 10 {
		conn, _ := dial(t, client)
		read(t, conn)
	}
	extra, _ := dial(t, client)
	if m := read(t, extra); m["type"] != "disconnect" || m["reason"] != "too_many_websockets" {
		t.Errorf("%v", m)
	}
	if n := s.SocketConnections(); n != 10 {
		t.Error(n)
	}
}
