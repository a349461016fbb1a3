package slackapi

import (
	"context"
	"errors"
	"net/url"
	"strconv"
)

// Permalink is the address of a message.
func (c *Client) Permalink(ctx context.Context, channel, ts string) (string, error) {
	var out struct {
		Permalink string `json:"permalink"`
	}
	if _, err := c.call(ctx, MethodPermalink, url.Values{"channel": {channel}, "message_ts": {ts}}, &out); err != nil {
		return "", err
	}
	return out.Permalink, nil
}

// channelPage is how many channels one call lists; Slack allows 999.
const channelPage = 900

// Channel is a conversation with a name.
type Channel struct {
	ID   string `json:"id"`
	Name string `json:"name"`
}

// Channels lists channels that are not archived, page by page: the first has no
// cursor, the last answers none. Private ones are listed only where asked for,
// and where the token may.
func (c *Client) Channels(ctx context.Context, cursor string, private bool) ([]Channel, string, error) {
	form := url.Values{"exclude_archived": {"true"}, "limit": {strconv.Itoa(channelPage)}, "types": {"public_channel"}}
	if private {
		form.Set("types", "public_channel,private_channel")
	}
	if cursor != "" {
		form.Set("cursor", cursor)
	}
	var out struct {
		Channels []Channel `json:"channels"`
		Next     struct {
			Cursor string `json:"next_cursor"`
		} `json:"response_metadata"`
	}
	_, err := c.call(ctx, MethodChannels, form, &out)
	return out.Channels, out.Next.Cursor, err
}

// NeededOf is the scope that the token lacks, by err; empty when it is about
// something else.
func NeededOf(err error) string {
	var e *Error
	if errors.As(err, &e) && e.Code == "missing_scope" {
		return e.Needed
	}
	return ""
}
