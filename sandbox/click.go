package sandbox

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
)

// Click acts as if the user had pressed the button (or another element) with that action_id on a message or ephemeral that
// the user sees. Where one action_id occurs in several blocks, "block_id/action_id" names one. The payload is built from
// the stored message. Confirm dialogs count as answered with yes.
func (s *Server) Click(ctx context.Context, user, channel, ts, actionID string) (Delivery, error) {
	return s.Choose(ctx, user, channel, ts, actionID, "")
}

// Choose is Click for elements with options: value is the chosen option's.
func (s *Server) Choose(ctx context.Context, user, channel, ts, actionID, value string) (Delivery, error) {
	block, action, both := strings.Cut(actionID, "/")
	if !both {
		block, action = "", actionID
	}
	return s.press(ctx, user, channel, ts, block, action, value)
}

// press is Choose with the block named apart; an empty block is any block.
func (s *Server) press(ctx context.Context, user, channel, ts, blockID, actionID, value string) (Delivery, error) {
	u, c, err := s.person(user, channel)
	if err != nil {
		return Delivery{}, err
	}
	s.mu.Lock()
	m := s.world.find(channel, ts)
	if m == nil {
		m = s.world.findEphemeral(channel, user, ts)
	}
	if m == nil {
		s.mu.Unlock()
		return Delivery{}, fmt.Errorf("sandbox: message %s: %w", ts, ErrNoMessage)
	}
	action := s.action(m.Blocks, blockID, actionID, value)
	if action == nil {
		s.mu.Unlock()
		return Delivery{}, fmt.Errorf("sandbox: action %s: %w", actionID, ErrNoAction)
	}
	o := s.interactionRequest(str(action, "action_id"), s.clickPayload(u, c, m, action))
	s.mu.Unlock()
	d := s.deliver(ctx, o)
	if !d.OK() {
		s.mu.Lock()
		s.tell(user, channel, "That did not work: `"+d.Err+"`")
		s.mu.Unlock()
	}
	return d, nil
}

// action finds the element and makes of it what a block_actions payload carries.
func (s *Server) action(blocks json.RawMessage, wantBlock, wantAction, value string) map[string]any {
	v, err := decodeJSON(blocks)
	list, ok := v.([]any)
	if err != nil || !ok {
		return nil
	}
	for _, b := range list {
		block, _ := b.(map[string]any)
		if wantBlock != "" && str(block, "block_id") != wantBlock {
			continue
		}
		elements, _ := block["elements"].([]any)
		for _, e := range append(elements, block["accessory"]) {
			if element, _ := e.(map[string]any); element != nil && str(element, "action_id") == wantAction {
				return s.acted(block, element, value)
			}
		}
	}
	return nil
}

func (s *Server) acted(block, element map[string]any, value string) map[string]any {
	out := map[string]any{
		"action_id": element["action_id"], "block_id": block["block_id"], "type": element["type"],
		"action_ts": s.world.stamp(s.cfg.Clock()),
	}
	for _, name := range []string{"text", "value", "style", "url", "placeholder"} {
		if element[name] != nil {
			out[name] = element[name]
		}
	}
	options, _ := element["options"].([]any)
	for _, o := range options {
		if option, _ := o.(map[string]any); option != nil && str(option, "value") == value {
			out["selected_option"] = option
		}
	}
	return out
}

func (s *Server) clickPayload(u *User, c *Channel, m *Message, action map[string]any) map[string]any {
	container := map[string]any{"type": "message", "message_ts": m.TS, "channel_id": c.ID, "is_ephemeral": m.For != ""}
	if m.ThreadTS != "" {
		container["thread_ts"] = m.ThreadTS
	}
	payload := map[string]any{
		"type": "block_actions", "token": "verification-token-is-deprecated", "api_app_id": AppID,
		"team": map[string]any{"id": TeamID, "domain": TeamDomain}, "enterprise": nil, "is_enterprise_install": false,
		"user":      map[string]any{"id": u.ID, "username": u.Name, "name": u.Name, "team_id": u.Team},
		"channel":   map[string]any{"id": c.ID, "name": c.Name},
		"container": container, "trigger_id": s.newTrigger(u.ID), "response_url": s.newHook("actions", u.ID, c.ID, m),
		"state": map[string]any{"values": map[string]any{}}, "actions": []any{action},
	}
	if m.For == "" {
		payload["message"] = s.wire(m, false)
	}
	return payload
}

// Submit acts as if the user had pressed the submit button of an open modal. values is block_id → action_id → state of
// the element. The view closes unless the answer says otherwise.
func (s *Server) Submit(ctx context.Context, user, viewID string, values map[string]map[string]any) (Delivery, error) {
	s.mu.Lock()
	v, u := s.views[viewID], s.world.users[user]
	if v == nil || u == nil || v.User != user || !v.Open || v.Type != "modal" {
		s.mu.Unlock()
		return Delivery{}, fmt.Errorf("sandbox: view %s: %w", viewID, ErrNoView)
	}
	var view map[string]any
	if err := json.Unmarshal(v.View, &view); err != nil {
		s.mu.Unlock()
		return Delivery{}, fmt.Errorf("sandbox: view %s: %w", viewID, err)
	}
	view["state"] = map[string]any{"values": values}
	payload := s.viewPayload("view_submission", u, view)
	payload["response_urls"] = []any{}
	o := s.interactionRequest("view_submission", payload)
	s.mu.Unlock()
	d := s.deliver(ctx, o)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.afterSubmit(v, d)
	return d, nil
}

// viewPayload is what both kinds of view interactions carry. The server's lock is held.
func (s *Server) viewPayload(kind string, u *User, view map[string]any) map[string]any {
	return map[string]any{
		"type": kind, "token": "verification-token-is-deprecated", "api_app_id": AppID, "trigger_id": s.newTrigger(u.ID),
		"team": map[string]any{"id": TeamID, "domain": TeamDomain}, "enterprise": nil, "is_enterprise_install": false,
		"user": map[string]any{"id": u.ID, "username": u.Name, "name": u.Name, "team_id": u.Team}, "view": view,
	}
}

// CloseView acts as if the user had dismissed an open modal. Only views with notify_on_close tell the app; for the others
// the delivery is empty.
func (s *Server) CloseView(ctx context.Context, user, viewID string) (Delivery, error) {
	s.mu.Lock()
	v, u := s.views[viewID], s.world.users[user]
	if v == nil || u == nil || v.User != user || !v.Open || v.Type != "modal" {
		s.mu.Unlock()
		return Delivery{}, fmt.Errorf("sandbox: view %s: %w", viewID, ErrNoView)
	}
	v.Open = false
	s.changed(changeView, *v)
	var view map[string]any
	if err := json.Unmarshal(v.View, &view); err != nil || view["notify_on_close"] != true {
		s.mu.Unlock()
		return Delivery{}, err
	}
	payload := s.viewPayload("view_closed", u, view)
	delete(payload, "trigger_id")
	payload["is_cleared"] = false
	o := s.interactionRequest("view_closed", payload)
	s.mu.Unlock()
	return s.deliver(ctx, o), nil
}

// afterSubmit applies the response_action of a submission. The server's lock is held.
func (s *Server) afterSubmit(v *View, d Delivery) {
	var reply struct {
		Action string         `json:"response_action"`
		View   map[string]any `json:"view"`
	}
	if !d.OK() {
		return
	}
	if d.Body != "" && json.Unmarshal([]byte(d.Body), &reply) != nil {
		s.violation("view_submission", "the answer is not JSON")
		return
	}
	switch reply.Action {
	case "", "clear":
		v.Open = false
		s.changed(changeView, *v)
	case "update":
		body, refused := s.readView(&call{args: map[string]any{"view": reply.View}})
		if refused != nil {
			s.violation("view_submission", "the view was refused: "+strings.Join(refused.messages, " "))
			return
		}
		if _, refused := s.storeView(v, body); refused != nil {
			s.violation("view_submission", "the view was refused: "+refused.code)
		}
	case "errors":
	default:
		s.violation("view_submission", "unknown response_action "+reply.Action)
	}
}
