package orchestrator

import (
	"maps"
	"strings"
	"testing"

	commandv1 "github.com/slipway-hq/slipway/gen/slipway/command/v1"
)

// A refused run has no plan that says that its namespace was restricted. When the
// namespace leaves the configuration, guests see no more of it than before.
func TestWhatARemovedNamespaceLeftBehindStaysClosed(t *testing.T) {
	inChat(t, 1, func(c *chat) {
		c.standing = &commandv1.Standing{Known: true, Guest: true}
		if _, id := c.say("UG", "op restart"); !c.first().view.known(id) {
			t.Fatal("the refusal left no run behind")
		}
		force := *c.first().desk.config()
		force.config.Namespaces = maps.Clone(force.config.Namespaces)
		delete(force.config.Namespaces, "op")
		c.first().desk.config = func() *adopted { return &force }
		if answer, _ := c.say("UG", "history"); strings.Contains(answer.GetText(), "restart") {
			t.Errorf("a guest sees: %s", answer.GetText())
		}
		c.standing = &commandv1.Standing{Known: true}
		if answer, _ := c.say("U1", "history"); !strings.Contains(answer.GetText(), "restart") {
			t.Errorf("a member does not see: %s", answer.GetText())
		}
	})
}
