package notifier

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	commandv1 "github.com/slipway-hq/slipway/gen/slipway/command/v1"
	"github.com/slipway-hq/slipway/services/notifier/internal/card"
	"github.com/slipway-hq/slipway/services/notifier/internal/desk"
	"github.com/slipway-hq/slipway/services/notifier/internal/slackapi"
)

// Finding is one result of Check: what was looked at, and what to do when it is
// not OK.
type Finding struct {
	Name    string
	OK      bool
	Finding string
	Remedy  string
}

// scope is a right of the bot token and what goes without it.
type scope struct{ name, without string }

// scopes are what the notifier uses, and slack-ingress with the same token; the
// generated manifest asks for them.
var scopes = []scope{
	{"chat:write", "no card can be posted"},
	{"channels:history", "after a lost connection a card in a public channel may be posted twice"},
	{"groups:history", "after a lost connection a card in a private channel may be posted twice"},
	{"im:history", "after a lost connection a card in a direct message may be posted twice"},
	{"im:write", "people are not told when a card cannot be posted in their channel"},
	{"reactions:write", "mentions get no reaction at the end"},
	{"files:write", "reports that are too long for a message are cut"},
	{"channels:read", "public channels cannot be named in the configuration, by id alone"},
	{"groups:read", "private channels cannot be named in the configuration, by id alone"},
	{"users:read", "guests cannot be told from members, and protected environments refuse everybody"},
	{"app_mentions:read", "mentions are not heard"},
	{"commands", "there are no slash commands"},
}

// Check asks Slack whether the token is good for all that Slipway does with it.
// It changes nothing there.
func Check(ctx context.Context, cfg Config) []Finding {
	const token = "Slack bot token" //nolint:gosec // the name of a check
	if err := cfg.complete(); err != nil {
		return []Finding{{Name: token, Finding: err.Error(), Remedy: "Copy the Bot User OAuth Token of the app (OAuth & Permissions) into SLACK_BOT_TOKEN."}}
	}
	client, err := slackapi.New(cfg.APIURL, string(cfg.BotToken))
	if err != nil {
		return []Finding{{Name: "Slack API URL", Finding: err.Error(), Remedy: "Correct SLACK_API_URL, or leave it away for Slack itself."}}
	}
	ctx, cancel := context.WithTimeout(ctx, cfg.CallTimeout)
	defer cancel()
	id, err := client.Auth(ctx)
	switch {
	case slackapi.Credential(err):
		return []Finding{{Name: token, Finding: "Slack refuses it: " + slackapi.CodeOf(err), Remedy: "Install the app anew and copy its Bot User OAuth Token into SLACK_BOT_TOKEN."}}
	case err != nil:
		return []Finding{{Name: "Slack", Finding: err.Error(), Remedy: "Check the network and SLACK_API_URL. Until then cards wait; runs go on."}}
	}
	return []Finding{
		{Name: token, OK: true, Finding: fmt.Sprintf("good for the workspace %s (%s)", id.Name, id.Team)},
		checkClock(id.Date, time.Now()),
		checkScopes(id.Scopes),
	}
}

const (
	// lately is how far back undelivered messages are worth a look.
	lately = 7 * 24 * time.Hour
	// maxListed is how many of them are named.
	maxListed = 3
)

// CheckMessages tells which messages, and marks that mirror claims, Slack would
// not take lately. The runs that they are about are not affected.
func CheckMessages(ctx context.Context, conn *nats.Conn) []Finding {
	refused, err := undelivered(ctx, conn, time.Now().Add(-lately))
	if err != nil {
		return []Finding{{Name: messages, Finding: err.Error(), Remedy: "Check the connection to NATS."}}
	}
	var marks []*commandv1.Card
	refused = slices.DeleteFunc(refused, func(c *commandv1.Card) bool {
		if !card.Mirrors(c.GetMilestone()) {
			return false
		}
		marks = append(marks, c)
		return true
	})
	return append(checkRefused(refused), checkMarks(marks)...)
}

const messages = "messages to Slack"

// checkRefused tells of messages.
func checkRefused(refused []*commandv1.Card) []Finding {
	if len(refused) == 0 {
		return []Finding{{Name: messages, OK: true, Finding: "all of the last seven days were delivered"}}
	}
	var said []string
	for _, c := range refused[:min(len(refused), maxListed)] {
		said = append(said, fmt.Sprintf("%s of %s to %s (%s)", c.GetMilestone(), c.GetRun(), c.GetChannel(), c.GetReason()))
	}
	return []Finding{{
		Name:    messages,
		Finding: fmt.Sprintf("Slack refused %d in the last seven days, the newest: %s", len(refused), strings.Join(said, "; ")),
		Remedy:  "Invite the bot to those channels, or correct them in the configuration. What the runs did and printed is in `slipway logs`.",
	}}
}

// checkMarks tells which claims could not be mirrored, and why; nothing when all
// could.
func checkMarks(marks []*commandv1.Card) []Finding {
	counts := map[string]int{}
	for _, c := range marks {
		if c.GetReason() != slackapi.AlreadyPinned { // a person's own pin, which does as well
			counts[c.GetMilestone()+": "+c.GetReason()]++
		}
	}
	if len(counts) == 0 {
		return nil
	}
	var said []string
	for _, what := range slices.Sorted(maps.Keys(counts)) {
		said = append(said, fmt.Sprintf("%s ×%d", what, counts[what]))
	}
	return []Finding{{
		Name:    "mirrored claims",
		Finding: "in the last seven days Slack refused " + strings.Join(said, ", "),
		Remedy: "missing_scope: install the app anew with `slipway manifest --pins`; too_many_pins: unpin what nobody needs; else see the configuration's mirror. " +
			"Runs and cards are not affected.",
	}}
}

// undelivered are the messages that Slack refused since a moment, newest first.
func undelivered(ctx context.Context, conn *nats.Conn, since time.Time) ([]*commandv1.Card, error) {
	js, err := jetstream.New(conn)
	if err != nil {
		return nil, err
	}
	ledger, err := desk.OpenLedger(ctx, js)
	if err != nil {
		return nil, err
	}
	var cards []*commandv1.Card
	times := map[*commandv1.Card]time.Time{}
	err = ledger.Undelivered(ctx, func(c *commandv1.Card, at time.Time) {
		if at.After(since) {
			cards, times[c] = append(cards, c), at
		}
	})
	slices.SortFunc(cards, func(a, b *commandv1.Card) int { return times[b].Compare(times[a]) })
	return cards, err
}

// maxSkew is when our clock endangers signatures, which are refused at five
// minutes.
const maxSkew = time.Minute

func checkClock(theirs, ours time.Time) Finding {
	const name = "clock of Slack"
	skew := ours.Sub(theirs)
	switch {
	case theirs.IsZero():
		return Finding{Name: name, OK: true, Finding: "Slack does not say its time"}
	case skew.Abs() > maxSkew:
		return Finding{
			Name: name, Finding: fmt.Sprintf("ours differs by %s: requests are refused when it is five minutes", skew.Round(time.Second)),
			Remedy: "Run a time service on this machine.",
		}
	}
	return Finding{Name: name, OK: true, Finding: fmt.Sprintf("within %s of ours", maxSkew)}
}

func checkScopes(have []string) Finding {
	f := Finding{Name: "Slack scopes", OK: true, Finding: "all that are needed"}
	if len(have) == 0 {
		f.Finding = "Slack does not say which the token has"
		return f
	}
	var missing, so []string
	for _, s := range scopes {
		if !slices.Contains(have, s.name) {
			missing, so = append(missing, s.name), append(so, s.without)
		}
	}
	if len(missing) > 0 {
		f.OK = false
		f.Finding = fmt.Sprintf("missing %s: %s", strings.Join(missing, ", "), strings.Join(so, "; "))
		f.Remedy = "Add them under OAuth & Permissions (or with the manifest of `slipway manifest`) and install the app anew."
	}
	return f
}
