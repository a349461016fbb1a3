package sandbox

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// maxAPIBody bounds the body of a Web API call; Slack's own limit is unpublished, messages stay far below.
const maxAPIBody = 1 << 20

// maxFormMemory is what a multipart form may hold in memory; uploads have a door of their own.
const maxFormMemory = 1 << 20

// contract is the method table, made once.
var contract = sync.OnceValue(methodTable)

// apiError is the body of an answer with "ok": false.
type apiError struct {
	code             string
	needed, provided string
	messages         []string // response_metadata.messages
}

func fail(code string, messages ...string) *apiError {
	return &apiError{code: code, messages: messages}
}

// call is one Web API call while it is worked on.
type call struct {
	name   string
	spec   *method
	args   map[string]any
	token  string
	header http.Header // of the answer
	now    time.Time
	began  time.Time
	fault  *Fault
	notes  []string // violations found on the way
}

func (c *call) str(name string) string {
	switch v := c.args[name].(type) {
	case string:
		return v
	case json.Number:
		return v.String()
	case bool:
		return strconv.FormatBool(v)
	}
	return ""
}

// channel is the conversation that the call names, whatever the method calls it.
func (c *call) channel() string {
	if id := c.str("channel_id"); id != "" {
		return id
	}
	return c.str("channel")
}

func (c *call) has(name string) bool {
	v, ok := c.args[name]
	return ok && v != nil && v != ""
}

func (c *call) flag(name string) bool {
	v, err := strconv.ParseBool(c.str(name))
	return err == nil && v
}

// raw is a structured argument, whether it came as JSON or as JSON in a form field. It is nil when absent.
func (c *call) raw(name string) (any, bool) {
	v, present := c.args[name]
	if !present || v == nil || v == "" {
		return nil, true
	}
	text, isText := v.(string)
	if !isText {
		return v, true
	}
	parsed, err := decodeJSON([]byte(text))
	return parsed, err == nil
}

// decodeJSON keeps numbers as they were written.
func decodeJSON(body []byte) (any, error) {
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, err
	}
	if d.More() {
		return nil, errors.New("more than one value")
	}
	return v, nil
}

// serveAPI answers POST and GET /api/<method>.
func (s *Server) serveAPI(w http.ResponseWriter, r *http.Request) {
	began := time.Now()
	c := &call{name: strings.TrimPrefix(r.URL.Path, "/api/"), header: w.Header(), began: began, now: s.cfg.Clock()}
	reqID, err := randomHex(secretBytes)
	if err != nil {
		http.Error(w, "no randomness", http.StatusInternalServerError)
		return
	}
	w.Header().Set("X-Slack-Req-Id", reqID)
	c.spec = contract()[c.name]
	parseErr := c.read(w, r)
	if c.fault = s.faults.take(c.name, c.channel()); c.fault != nil {
		s.faultsChanged()
	}
	if !s.faultBefore(w, r, c) {
		return
	}
	status, body, answered := s.process(c, parseErr)
	s.finish(w, r, c, status, body, answered)
}

// read collects arguments and token from the body, the query of a GET and the headers.
func (c *call) read(w http.ResponseWriter, r *http.Request) *apiError {
	c.args = map[string]any{}
	r.Body = http.MaxBytesReader(w, r.Body, maxAPIBody)
	kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	var err error
	switch {
	case kind == "application/json":
		err = c.readJSON(r.Body)
	case kind == "multipart/form-data":
		err = r.ParseMultipartForm(maxFormMemory)
		c.addForm(r.PostForm)
	default:
		err = r.ParseForm()
		c.addForm(r.PostForm)
	}
	if r.Method == http.MethodGet {
		c.addForm(r.URL.Query())
	}
	c.token = c.str("token")
	if bearer, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); ok {
		c.token = bearer
	} else if c.spec != nil && c.spec.app {
		c.token = ""
	}
	delete(c.args, "token")
	if err != nil {
		return fail("invalid_form_data")
	}
	return nil
}

func (c *call) readJSON(r io.Reader) error {
	body, err := io.ReadAll(r)
	if err != nil || len(bytes.TrimSpace(body)) == 0 {
		return err
	}
	v, err := decodeJSON(body)
	if err != nil {
		return err
	}
	args, ok := v.(map[string]any)
	if !ok {
		return errors.New("not an object")
	}
	c.args = args
	if c.spec != nil && c.spec.form && len(args) > 0 {
		c.notes = append(c.notes, "does not read JSON bodies: the arguments were ignored")
		c.args = map[string]any{}
	}
	return nil
}

func (c *call) addForm(form map[string][]string) {
	for key, values := range form {
		if len(values) > 0 {
			c.args[key] = values[0]
		}
	}
}

// process decides the answer: 200 with a JSON body, or 429.
func (s *Server) process(c *call, parseErr *apiError) (int, map[string]any, *apiError) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, note := range c.notes {
		s.violation(c.name, note)
	}
	if c.spec == nil {
		s.violation(c.name, "unknown method")
		return http.StatusOK, nil, fail("unknown_method")
	}
	if parseErr != nil {
		return http.StatusOK, nil, parseErr
	}
	if refused := s.authorise(c); refused != nil {
		return http.StatusOK, nil, refused
	}
	if wait, ok := s.admit(c); !ok {
		c.header.Set("Retry-After", strconv.Itoa(wait))
		return http.StatusTooManyRequests, nil, fail("ratelimited")
	}
	if refused := s.checkArgs(c); refused != nil {
		return http.StatusOK, nil, refused
	}
	result, refused := c.spec.run(s, c)
	return http.StatusOK, result, refused
}

// authorise checks the kind of the token and its scopes, in Slack's order.
func (s *Server) authorise(c *call) *apiError {
	want, other := s.cfg.BotToken, s.cfg.AppToken
	if c.spec.app {
		want, other = other, want
	}
	switch {
	case c.token == "":
		return fail("not_authed")
	case c.token == other:
		return fail("not_allowed_token_type")
	case c.token != want:
		return fail("invalid_auth")
	case s.faults.active(TokenRevoked, c.name, "") != nil:
		return fail("token_revoked")
	}
	if c.spec.app {
		return nil
	}
	provided := strings.Join(s.cfg.Scopes, ",")
	c.header.Set("X-Oauth-Scopes", provided)
	needed := c.spec.scopesFor(s.resolve(c.channel()))
	if len(needed) == 0 || slices.ContainsFunc(needed, func(scope string) bool { return slices.Contains(s.cfg.Scopes, scope) }) {
		return nil
	}
	return &apiError{code: "missing_scope", needed: strings.Join(needed, ","), provided: provided}
}

// checkArgs refuses a call without its required arguments and notes undeclared ones.
func (s *Server) checkArgs(c *call) *apiError {
	if s.cfg.Strict {
		for _, name := range sortedKeys(c.args) {
			if !c.spec.declares(name) {
				s.violation(c.name, "undeclared argument "+name)
			}
		}
	}
	var missing []string
	for _, name := range c.spec.required {
		if !c.has(name) {
			missing = append(missing, "[ERROR] missing required field: "+name)
		}
	}
	if len(missing) > 0 {
		return fail("invalid_arguments", missing...)
	}
	return nil
}

// finish writes the answer, unless the fault plan swallows it, and records the call either way.
func (s *Server) finish(w http.ResponseWriter, r *http.Request, c *call, status int, result map[string]any, refused *apiError) {
	body := answerBody(result, refused)
	if c.fault != nil && c.fault.Kind == LostAfter {
		s.recordCall(r, c, 0, string(body), errLost)
		breakConnection(w)
		return
	}
	code := ""
	if refused != nil {
		code = refused.code
	}
	s.recordCall(r, c, status, string(body), code)
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(body) // the client may be gone; nobody is left to tell
}

func answerBody(result map[string]any, refused *apiError) []byte {
	if refused == nil {
		if result == nil {
			result = map[string]any{}
		}
		result["ok"] = true
		return encode(result)
	}
	out := map[string]any{"ok": false, "error": refused.code}
	if refused.needed != "" {
		out["needed"], out["provided"] = refused.needed, refused.provided
	}
	if len(refused.messages) > 0 {
		out["response_metadata"] = map[string]any{"messages": refused.messages}
	}
	return encode(out)
}

// encode writes JSON as Slack does, with slashes escaped. A slash occurs only inside strings, so replacing bytes is safe
// as long as no raw JSON that is already escaped gets in: everything stored was decoded first.
func encode(v any) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return []byte(`{"ok":false,"error":"internal_error"}`)
	}
	return bytes.ReplaceAll(bytes.TrimSpace(b.Bytes()), []byte("/"), []byte(`\/`))
}

func (s *Server) recordCall(r *http.Request, c *call, status int, answer, code string) {
	e := Entry{
		Time: c.now, Kind: KindAPI, Name: c.name, Status: status, OK: code == "", Error: code,
		TookMS: millis(time.Since(c.began)), Headers: redactHeaders(r.Header), Args: redactArgs(c.args),
		Answer: redact(strings.ReplaceAll(answer, `\/`, "/")),
	}
	if c.fault != nil {
		e.Fault = string(c.fault.Kind)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.record(e)
}

func millis(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// resolve finds a conversation by id, by #name, or the direct conversation with a user id. Nil when there is none.
func (s *Server) resolve(ref string) *Channel {
	if c := s.world.channels[ref]; c != nil {
		return c
	}
	if c := s.world.channels[DM(ref)]; c != nil && s.world.users[ref] != nil {
		return c
	}
	return s.world.channelByName(strings.TrimPrefix(ref, "#"))
}

// member says whether the bot is in the channel, kicked bots not.
func (s *Server) member(c *Channel) bool {
	return c.has(BotUserID) && s.faults.active(BotKicked, "", c.ID) == nil
}

// writable finds the conversation that the bot may write to, or says why not, as chat.postMessage does.
func (s *Server) writable(ref string) (*Channel, *apiError) {
	c := s.resolve(ref)
	switch {
	case c == nil, c.Private && !s.member(c):
		return nil, fail("channel_not_found")
	case c.Archived:
		return nil, fail("is_archived")
	case !s.member(c) && !slices.Contains(s.cfg.Scopes, "chat:write.public"):
		return nil, fail("not_in_channel")
	}
	return c, nil
}

// readable finds the conversation that the bot may see.
func (s *Server) readable(ref string) (*Channel, *apiError) {
	c := s.world.channels[ref]
	if c == nil || c.Private && !s.member(c) {
		return nil, fail("channel_not_found")
	}
	return c, nil
}
