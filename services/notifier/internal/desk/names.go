package desk

import (
	"context"
	"regexp"
	"strings"
	"time"

	"github.com/slipway-hq/slipway/services/notifier/internal/slackapi"
)

const (
	// namesKeep is how long the list of channels is believed; a name that is not
	// in it is looked for again after namesMiss.
	namesKeep = 30 * time.Minute
	namesMiss = time.Minute
	// maxNamePages bounds one listing: 18,000 channels.
	maxNamePages = 20
	// maxMisses is how often a page may fail in a row before names are passed on
	// as they are: what waits for them is worth more.
	maxMisses = 5
)

// names knows the ids of channels that configurations call by their names.
type names struct {
	ids    map[string]string
	listed time.Time // when ids was complete

	// Of a listing under way.
	next   map[string]string
	cursor string
	pages  int
	public bool // the token may not list private channels
	misses int  // pages that failed in a row
}

// channelID is the shape of a channel's id.
var channelID = regexp.MustCompile(`^[CDG][A-Z0-9]{6,}$`)

// id is a channel as far as it is known: its id, or what was asked for, which
// Slack then knows or refuses.
func (n *names) id(channel string) string {
	if id := n.ids[strings.TrimPrefix(channel, "#")]; id != "" && !channelID.MatchString(channel) {
		return id
	}
	return channel
}

// find turns the name of a channel into its id, which may take some calls. Zero:
// it is done, see names.id.
func (d *Desk) find(ctx context.Context, t *track, channel string) (string, time.Time, error) {
	n, now := &d.names, d.cfg.Now()
	if channel == "" || channelID.MatchString(channel) {
		return channel, time.Time{}, nil
	}
	id := n.id(channel)
	known := id != channel
	fresh := !n.listed.IsZero() && (known && now.Before(n.listed.Add(namesKeep)) || !known && now.Before(n.listed.Add(namesMiss)))
	if fresh {
		return id, time.Time{}, nil
	}
	if at := d.pace.free(slackapi.MethodChannels, "", now); at.After(now) {
		if known {
			return id, time.Time{}, nil
		}
		return "", at, nil
	}
	d.list(ctx, t)
	return "", d.cfg.Now(), nil
}

// list asks for one page of channels.
func (d *Desk) list(ctx context.Context, t *track) {
	n := &d.names
	var page []slackapi.Channel
	var next string
	err := d.call(ctx, t, slackapi.MethodChannels, "", func(ctx context.Context) (err error) {
		page, next, err = d.slack.Channels(ctx, n.cursor, !n.public)
		return err
	})
	switch {
	case slackapi.NeededOf(err) != "" && !n.public:
		n.public, n.next, n.cursor, n.pages = true, nil, "", 0
		return
	case slackapi.OutcomeOf(err) == slackapi.Refused && !slackapi.Credential(err), err != nil && n.misses >= maxMisses:
		d.logger.Warn("channels cannot be listed; names in the configuration are passed on as they are", "error", err)
		n.listed, n.next, n.cursor, n.pages, n.misses = d.cfg.Now(), nil, "", 0, 0
		return
	case err != nil:
		if slackapi.OutcomeOf(err) != slackapi.Limited && !slackapi.Credential(err) {
			n.misses++
		}
		return // the pace says when to try again
	}
	n.misses = 0
	if n.next == nil {
		n.next = map[string]string{}
	}
	for _, c := range page {
		n.next[c.Name] = c.ID
	}
	if n.pages++; next != "" && n.pages < maxNamePages {
		n.cursor = next
		return
	}
	n.ids, n.listed, n.next, n.cursor, n.pages = n.next, d.cfg.Now(), nil, "", 0
}
