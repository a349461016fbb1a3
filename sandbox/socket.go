package sandbox

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/gorilla/websocket"
)

const (
	maxSockets = 10
	// ticketLife is how long the URL of apps.connections.open may be dialled, once.
	ticketLife = 30 * time.Second
	maxTickets = 200
	// socketPing keeps clients happy that reconnect after 30 s without one.
	socketPing = 5 * time.Second
	// socketSilence is when a client that answers nothing counts as gone.
	socketSilence = 30 * time.Second
	socketWrite   = 5 * time.Second
	// socketLife and debugLife are how long a connection lasts before Slack asks for a new one; warned ahead.
	socketLife     = 5 * time.Hour
	debugLife      = 360 * time.Second
	warnAhead      = 10 * time.Second
	maxSocketFrame = 1 << 20
)

// Reasons for a disconnect message.
const (
	DisconnectWarning  = "warning"
	DisconnectRefresh  = "refresh_requested"
	DisconnectDisabled = "link_disabled"
	disconnectTooMany  = "too_many_websockets"
)

// sockets are the open Socket Mode connections; the server's lock guards them.
type sockets struct {
	tickets map[string]time.Time
	conns   []*socketConn
	next    int
}

func (p *sockets) init() { p.tickets = map[string]time.Time{} }

// socketConn is one connection of the app.
type socketConn struct {
	ws     *websocket.Conn
	gone   chan struct{}
	once   sync.Once
	write  sync.Mutex
	mu     sync.Mutex
	acks   map[string]chan json.RawMessage
	warned bool // guarded by the server's lock: gets no new envelopes while there is another
}

func (c *socketConn) close() {
	c.once.Do(func() {
		close(c.gone)
		_ = c.ws.Close() // it is being thrown away
	})
}

func (c *socketConn) send(v any) error {
	c.write.Lock()
	defer c.write.Unlock()
	if err := c.ws.SetWriteDeadline(time.Now().Add(socketWrite)); err != nil {
		return err
	}
	return c.ws.WriteJSON(v)
}

func appsConnectionsOpen(s *Server, c *call) (map[string]any, *apiError) {
	if len(s.sockets.tickets) >= maxTickets {
		clear(s.sockets.tickets)
	}
	ticket, err := randomHex(secretBytes)
	if err != nil {
		return nil, fail("internal_error")
	}
	s.sockets.tickets[ticket] = c.now
	return map[string]any{"url": "ws" + strings.TrimPrefix(s.baseURL(), "http") + "/link/?ticket=" + ticket}, nil
}

var upgrader = websocket.Upgrader{
	ReadBufferSize: 4 << 10, WriteBufferSize: 16 << 10,
	// The single-use ticket is the only key: slack-go names https://api.slack.com as its origin, others name none.
	CheckOrigin: func(*http.Request) bool { return true },
}

func (s *Server) serveSocket(w http.ResponseWriter, r *http.Request) {
	ticket := r.URL.Query().Get("ticket")
	s.mu.Lock()
	born, known := s.sockets.tickets[ticket]
	delete(s.sockets.tickets, ticket)
	fresh := known && s.cfg.Clock().Sub(born) <= ticketLife
	s.mu.Unlock()
	if !fresh {
		http.Error(w, "ticket used, expired or unknown", http.StatusUnauthorized)
		return
	}
	ws, err := upgrader.Upgrade(w, r, nil)
	if err != nil {
		return // the upgrader has answered
	}
	ws.SetReadLimit(maxSocketFrame)
	life := s.cfg.SocketLife
	if r.URL.Query().Get("debug_reconnects") == "true" {
		life = debugLife
	}
	conn := &socketConn{ws: ws, gone: make(chan struct{}), acks: map[string]chan json.RawMessage{}}
	n, ok := s.addSocket(conn)
	if !ok {
		_ = conn.send(disconnect(disconnectTooMany)) // refused either way
		conn.close()
		return
	}
	defer s.dropSocket(conn)
	hello := map[string]any{
		"type": "hello", "num_connections": n, "connection_info": map[string]any{"app_id": AppID},
		"debug_info": map[string]any{"host": "sandbox", "build_number": 1, "approximate_connection_time": int(life.Seconds())},
	}
	if conn.send(hello) != nil {
		return
	}
	s.background(func(ctx context.Context) { s.keepAlive(ctx, conn, life) })
	conn.readAcks()
}

func disconnect(reason string) map[string]any {
	return map[string]any{
		"type": "disconnect", "reason": reason, "debug_info": map[string]any{"host": "sandbox"},
		"connection_info": map[string]any{"app_id": AppID},
	}
}

func (s *Server) addSocket(conn *socketConn) (int, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.sockets.conns) >= maxSockets || s.closed {
		s.violation("socket", "more than 10 connections")
		return 0, false
	}
	s.sockets.conns = append(s.sockets.conns, conn)
	s.record(Entry{Time: s.cfg.Clock(), Kind: KindSocket, Name: "connected", OK: true})
	return len(s.sockets.conns), true
}

func (s *Server) dropSocket(conn *socketConn) {
	conn.close()
	s.mu.Lock()
	defer s.mu.Unlock()
	before := len(s.sockets.conns)
	s.sockets.conns = slices.DeleteFunc(s.sockets.conns, func(o *socketConn) bool { return o == conn })
	if len(s.sockets.conns) < before {
		s.record(Entry{Time: s.cfg.Clock(), Kind: KindSocket, Name: "disconnected", OK: true})
	}
}

// keepAlive pings, and ends the connection when its time has come.
func (s *Server) keepAlive(ctx context.Context, conn *socketConn, life time.Duration) {
	ping := time.NewTicker(socketPing)
	defer ping.Stop()
	warn, refresh := time.NewTimer(life-min(warnAhead, life/2)), time.NewTimer(life)
	defer warn.Stop()
	defer refresh.Stop()
	for {
		select {
		case <-ctx.Done():
			conn.close()
			return
		case <-conn.gone:
			return
		case <-ping.C:
			if conn.ws.WriteControl(websocket.PingMessage, []byte("sandbox"), time.Now().Add(socketWrite)) != nil {
				conn.close()
				return
			}
		case <-warn.C:
			s.disconnectOne(conn, DisconnectWarning)
		case <-refresh.C:
			s.disconnectOne(conn, DisconnectRefresh)
		}
	}
}

// readAcks hands acknowledgements to whoever waits for them, until the connection ends.
func (c *socketConn) readAcks() {
	alive := func() error { return c.ws.SetReadDeadline(time.Now().Add(socketSilence)) }
	c.ws.SetPongHandler(func(string) error { return alive() })
	answerPing := c.ws.PingHandler()
	c.ws.SetPingHandler(func(data string) error {
		if err := alive(); err != nil {
			return err
		}
		return answerPing(data)
	})
	for {
		if alive() != nil {
			return
		}
		_, frame, err := c.ws.ReadMessage()
		if err != nil {
			return
		}
		var ack struct {
			ID      string          `json:"envelope_id"`
			Payload json.RawMessage `json:"payload"`
		}
		if json.Unmarshal(frame, &ack) != nil {
			continue // Slack ignores what it does not understand
		}
		c.mu.Lock()
		wait := c.acks[ack.ID]
		delete(c.acks, ack.ID)
		c.mu.Unlock()
		if wait != nil {
			wait <- ack.Payload
		}
	}
}

// pickSocket chooses one of the connections, in turn; one that was warned only when there is no other.
func (s *Server) pickSocket() *socketConn {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := &s.sockets
	for _, warned := range []bool{false, true} {
		for range p.conns {
			p.next++
			if c := p.conns[p.next%len(p.conns)]; c.warned == warned {
				return c
			}
		}
	}
	return nil
}

// sendSocket delivers an envelope over one connection and waits for its acknowledgement.
func (s *Server) sendSocket(ctx context.Context, r signed) Delivery {
	conn := s.pickSocket()
	if conn == nil {
		return r.failed(ErrDispatch, "connection_failed")
	}
	ack := make(chan json.RawMessage, 1)
	conn.mu.Lock()
	conn.acks[r.out.id] = ack
	conn.mu.Unlock()
	defer func() {
		conn.mu.Lock()
		delete(conn.acks, r.out.id)
		conn.mu.Unlock()
	}()
	began := time.Now()
	envelope := map[string]any{
		"envelope_id": r.out.id, "type": r.out.envelope, "payload": r.out.payload, "accepts_response_payload": r.out.accepts,
	}
	if r.out.envelope == "events_api" {
		envelope["retry_attempt"], envelope["retry_reason"] = r.out.attempt, r.out.reason
	}
	if conn.send(envelope) != nil {
		conn.close()
		return r.failed(ErrDispatch, "connection_failed")
	}
	timeout := time.NewTimer(s.cfg.AckTimeout)
	defer timeout.Stop()
	select {
	case payload := <-ack:
		return s.acked(r, payload, time.Since(began))
	case <-conn.gone:
		return r.failed(ErrDispatch, "connection_failed")
	case <-ctx.Done():
		return r.failed(ErrDispatch, "unknown_error")
	case <-timeout.C:
		d := r.failed(ErrTimeout, "http_timeout")
		d.Ack = time.Since(began)
		return d
	}
}

func (s *Server) acked(r signed, payload json.RawMessage, took time.Duration) Delivery {
	d := r.delivery()
	d.Status, d.Ack = http.StatusOK, took
	if len(payload) == 0 || string(payload) == "null" {
		return d
	}
	if !r.out.accepts {
		s.mu.Lock()
		s.violation("socket", "acknowledgement of an event carries a payload")
		s.mu.Unlock()
		return d
	}
	d.Body = string(payload)
	return d
}

// SocketConnections counts the open Socket Mode connections.
func (s *Server) SocketConnections() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.sockets.conns)
}

// DisconnectSockets sends every connection a disconnect message. After a warning they stay open; after any other reason
// they are closed.
func (s *Server) DisconnectSockets(reason string) {
	s.mu.Lock()
	conns := slices.Clone(s.sockets.conns)
	s.mu.Unlock()
	for _, conn := range conns {
		s.disconnectOne(conn, reason)
	}
}

// EndWarnedSockets closes the connections that were warned, as Slack does when the time after a warning is over.
func (s *Server) EndWarnedSockets() {
	s.mu.Lock()
	conns := slices.DeleteFunc(slices.Clone(s.sockets.conns), func(c *socketConn) bool { return !c.warned })
	s.mu.Unlock()
	for _, conn := range conns {
		s.disconnectOne(conn, DisconnectRefresh)
	}
}

func (s *Server) disconnectOne(conn *socketConn, reason string) {
	s.mu.Lock()
	conn.warned = true
	s.record(Entry{Time: s.cfg.Clock(), Kind: KindSocket, Name: "disconnect " + reason, OK: true})
	s.mu.Unlock()
	if conn.send(disconnect(reason)) != nil || reason != DisconnectWarning {
		s.dropSocket(conn)
	}
}

func (p *sockets) closeAll(s *Server) {
	s.mu.Lock()
	conns := slices.Clone(p.conns)
	s.mu.Unlock()
	for _, conn := range conns {
		conn.close()
	}
}
