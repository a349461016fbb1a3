package sandbox

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"
	"unicode/utf8"
)

const (
	// triggerLife is how long a trigger_id opens a view, once.
	triggerLife = 3 * time.Second
	// maxTriggers bounds the memory of triggers that nobody used.
	maxTriggers        = 2000
	maxViewTitle       = 24
	maxPrivateMetadata = 3000
	maxViews           = 500
)

// trigger lets the app open a view in front of the person who acted.
type trigger struct {
	user string
	born time.Time
	used bool
}

// View is a modal or a home tab that the app showed to a person.
type View struct {
	ID    string          `json:"id"`
	User  string          `json:"user"`
	Type  string          `json:"type"`
	Hash  string          `json:"hash"`
	View  json.RawMessage `json:"view"` // with blocks as Slack stored them
	Open  bool            `json:"open"`
	Count int             `json:"updates"`
}

// newTrigger makes a trigger_id. The server's lock is held.
func (s *Server) newTrigger(user string) string {
	now := s.cfg.Clock()
	if len(s.triggers) >= maxTriggers {
		for id, t := range s.triggers {
			if now.Sub(t.born) > triggerLife {
				delete(s.triggers, id)
			}
		}
	}
	secret, err := randomHex(secretBytes)
	if err != nil {
		secret = s.world.id("")
	}
	id := fmt.Sprintf("%d.%s.%s", now.UnixMilli(), s.world.id(""), secret)
	s.triggers[id] = &trigger{user: user, born: now}
	return id
}

func (s *Server) useTrigger(id string, now time.Time) (*trigger, *apiError) {
	t := s.triggers[id]
	switch {
	case t == nil:
		return nil, fail("invalid_trigger_id")
	case t.used:
		return nil, fail("exchanged_trigger_id")
	case now.Sub(t.born) > triggerLife:
		return nil, fail("expired_trigger_id")
	}
	t.used = true
	return t, nil
}

// readView checks the view of a call. Views are refused with invalid_arguments, unlike messages.
func (s *Server) readView(c *call) (map[string]any, *apiError) {
	v, ok := c.raw("view")
	view, isObject := v.(map[string]any)
	if !ok || !isObject {
		return nil, fail("invalid_arguments", "[ERROR] view must be an object [json-pointer:/view]")
	}
	where, kind := onModal, str(view, "type")
	if kind == "home" {
		where = onHome
	}
	k := &checker{where: where}
	if kind != "modal" && kind != "home" {
		k.complain("/view/type", "must be modal or home")
	}
	if kind == "modal" {
		k.text(view["title"], plainText, maxViewTitle, "/view/title")
		for _, name := range []string{"submit", "close"} {
			if view[name] != nil {
				k.text(view[name], plainText, maxViewTitle, "/view/"+name)
			}
		}
	}
	k.optionalLength(view, "private_metadata", maxPrivateMetadata, "/view")
	k.optionalLength(view, "callback_id", maxID, "/view")
	raw, refused := s.validateBlocks(orEmptyList(view["blocks"]), where, "/view/blocks")
	if refused != nil {
		k.errors = append(k.errors, refused.messages...)
	}
	if len(k.errors) > 0 || refused != nil {
		return nil, fail("invalid_arguments", k.errors...)
	}
	blocks, err := decodeJSON(raw)
	if err != nil {
		return nil, fail("internal_error")
	}
	view["blocks"] = blocks
	return view, nil
}

func orEmptyList(v any) any {
	if v == nil {
		return []any{}
	}
	return v
}

func viewsOpen(s *Server, c *call) (map[string]any, *apiError) {
	t, refused := s.useTrigger(c.str("trigger_id"), c.now)
	if refused != nil {
		return nil, refused
	}
	body, refused := s.readView(c)
	if refused != nil {
		return nil, refused
	}
	v := &View{ID: s.world.id("V"), User: t.user, Open: true}
	s.keepView(v)
	return s.storeView(v, body)
}

func (s *Server) keepView(v *View) {
	if len(s.views) >= maxViews {
		for id, old := range s.views {
			if !old.Open {
				delete(s.views, id)
			}
		}
	}
	s.views[v.ID] = v
}

func (s *Server) storeView(v *View, body map[string]any) (map[string]any, *apiError) {
	v.Count++
	v.Type, v.Hash = str(body, "type"), s.world.stamp(s.cfg.Clock())
	body["id"], body["hash"], body["team_id"], body["app_id"], body["bot_id"] = v.ID, v.Hash, TeamID, AppID, BotID
	body["root_view_id"] = v.ID
	if body["state"] == nil {
		body["state"] = map[string]any{"values": map[string]any{}}
	}
	raw, err := json.Marshal(body)
	switch {
	case err != nil:
		return nil, fail("internal_error")
	case utf8.RuneCount(raw) > maxAPIBody/4:
		return nil, fail("view_too_large")
	}
	v.View = raw
	s.changed(changeView, *v)
	return map[string]any{"view": body}, nil
}

func viewsUpdate(s *Server, c *call) (map[string]any, *apiError) {
	v := s.views[c.str("view_id")]
	switch {
	case v == nil || !v.Open:
		return nil, fail("not_found")
	case c.str("hash") != "" && c.str("hash") != v.Hash:
		return nil, fail("hash_conflict")
	}
	body, refused := s.readView(c)
	if refused != nil {
		return nil, refused
	}
	return s.storeView(v, body)
}

func viewsPublish(s *Server, c *call) (map[string]any, *apiError) {
	user := c.str("user_id")
	if s.world.users[user] == nil {
		return nil, fail("invalid_arguments", "[ERROR] user not found [json-pointer:/user_id]")
	}
	body, refused := s.readView(c)
	if refused != nil {
		return nil, refused
	}
	if str(body, "type") != "home" {
		return nil, fail("invalid_arguments", "[ERROR] must be home [json-pointer:/view/type]")
	}
	id := "VHOME" + user
	v := s.views[id]
	if v == nil {
		v = &View{ID: id, User: user, Open: true}
		s.views[id] = v
	}
	if hash := c.str("hash"); hash != "" && hash != v.Hash {
		return nil, fail("hash_conflict")
	}
	return s.storeView(v, body)
}

// Views that are open in front of the user, oldest first.
func (s *Server) Views(user string) []View {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []View
	for _, id := range sortedKeys(s.views) {
		if v := s.views[id]; v.User == user && v.Open {
			c := *v
			c.View = slices.Clone(v.View)
			out = append(out, c)
		}
	}
	return out
}
