package sandbox

import "slices"

// tier is a class of Slack's published rate limits.
type tier int

const (
	tierSpecial tier = iota // limits of its own, or generous
	tier1
	tier2
	tier3
	tier4
)

// perMinute are the published floors of the tiers.
var perMinute = map[tier]int{tierSpecial: 600, tier1: 1, tier2: 20, tier3: 50, tier4: 100}

// family marks methods whose scope depends on the kind of the conversation: channels:history, groups:history …
type family string

const (
	noFamily  family = ""
	reads     family = "read"
	histories family = "history"
	opens     family = "write"
)

// method is what Slack's reference declares about one method.
type method struct {
	tier     tier
	scope    string // needed by a bot token
	family   family // instead of scope
	app      bool   // takes an app-level token
	form     bool   // does not read JSON bodies
	required []string
	optional []string
	run      func(*Server, *call) (map[string]any, *apiError)
}

func (m *method) declares(arg string) bool {
	return arg == "token" || slices.Contains(m.required, arg) || slices.Contains(m.optional, arg)
}

var postArgs = []string{
	"as_user", "attachments", "blocks", "icon_emoji", "icon_url", "link_names", "markdown_text", "metadata", "mrkdwn",
	"parse", "reply_broadcast", "text", "thread_ts", "unfurl_links", "unfurl_media", "username", "current_draft_last_updated_ts",
}

// methodTable is the contract: everything that is not in it answers unknown_method.
func methodTable() map[string]*method {
	return map[string]*method{
		"auth.test": {run: authTest},

		"chat.postMessage":   {scope: "chat:write", required: []string{"channel"}, optional: postArgs, run: chatPostMessage},
		"chat.update":        {tier: tier3, scope: "chat:write", required: []string{"channel", "ts"}, optional: []string{"as_user", "attachments", "unfurled_attachments", "blocks", "markdown_text", "metadata", "link_names", "parse", "text", "reply_broadcast", "file_ids"}, run: chatUpdate},
		"chat.postEphemeral": {tier: tier4, scope: "chat:write", required: []string{"channel", "user"}, optional: []string{"as_user", "attachments", "blocks", "icon_emoji", "icon_url", "link_names", "markdown_text", "metadata", "parse", "text", "thread_ts", "username"}, run: chatPostEphemeral},
		"chat.delete":        {tier: tier3, scope: "chat:write", required: []string{"channel", "ts"}, optional: []string{"as_user"}, run: chatDelete},
		"chat.getPermalink":  {form: true, required: []string{"channel", "message_ts"}, run: chatGetPermalink},

		"reactions.add":    {tier: tier3, scope: "reactions:write", required: []string{"channel", "name", "timestamp"}, run: reactionsAdd},
		"reactions.remove": {tier: tier2, scope: "reactions:write", required: []string{"name"}, optional: []string{"channel", "timestamp", "file", "file_comment"}, run: reactionsRemove},
		"reactions.get":    {tier: tier3, scope: "reactions:read", form: true, optional: []string{"channel", "timestamp", "full", "file", "file_comment"}, run: reactionsGet},
		"pins.add":         {tier: tier2, scope: "pins:write", required: []string{"channel"}, optional: []string{"timestamp"}, run: pinsAdd},
		"pins.remove":      {tier: tier2, scope: "pins:write", required: []string{"channel"}, optional: []string{"timestamp"}, run: pinsRemove},
		"pins.list":        {tier: tier2, scope: "pins:read", form: true, required: []string{"channel"}, run: pinsList},

		"conversations.history": {tier: tier3, family: histories, form: true, required: []string{"channel"}, optional: []string{"cursor", "include_all_metadata", "inclusive", "latest", "limit", "oldest"}, run: conversationsHistory},
		"conversations.replies": {tier: tier3, family: histories, form: true, required: []string{"channel", "ts"}, optional: []string{"cursor", "include_all_metadata", "inclusive", "latest", "limit", "oldest"}, run: conversationsReplies},
		"conversations.info":    {tier: tier3, family: reads, form: true, required: []string{"channel"}, optional: []string{"include_locale", "include_num_members"}, run: conversationsInfo},
		"conversations.members": {tier: tier4, family: reads, form: true, required: []string{"channel"}, optional: []string{"cursor", "limit"}, run: conversationsMembers},
		"conversations.list":    {tier: tier2, family: reads, form: true, optional: []string{"cursor", "exclude_archived", "limit", "team_id", "types"}, run: conversationsList},
		"conversations.join":    {tier: tier3, scope: "channels:join", required: []string{"channel"}, run: conversationsJoin},
		"conversations.open":    {tier: tier3, family: opens, optional: []string{"channel", "return_im", "users", "prevent_creation"}, run: conversationsOpen},

		"users.info":            {tier: tier4, scope: "users:read", form: true, required: []string{"user"}, optional: []string{"include_locale"}, run: usersInfo},
		"users.list":            {tier: tier2, scope: "users:read", form: true, optional: []string{"cursor", "include_locale", "limit", "team_id"}, run: usersList},
		"usergroups.list":       {tier: tier2, scope: "usergroups:read", form: true, optional: []string{"include_count", "include_disabled", "include_users", "team_id"}, run: usergroupsList},
		"usergroups.users.list": {tier: tier2, scope: "usergroups:read", form: true, required: []string{"usergroup"}, optional: []string{"include_disabled", "team_id"}, run: usergroupsUsersList},

		"views.open":    {tier: tier4, required: []string{"view"}, optional: []string{"trigger_id", "interactivity_pointer"}, run: viewsOpen},
		"views.update":  {tier: tier4, required: []string{"view"}, optional: []string{"view_id", "external_id", "hash"}, run: viewsUpdate},
		"views.publish": {tier: tier4, required: []string{"user_id", "view"}, optional: []string{"hash", "interactivity_pointer"}, run: viewsPublish},

		"files.getUploadURLExternal":   {tier: tier4, scope: "files:write", form: true, required: []string{"filename", "length"}, optional: []string{"snippet_type", "alt_txt"}, run: filesGetUploadURL},
		"files.completeUploadExternal": {tier: tier4, scope: "files:write", required: []string{"files"}, optional: []string{"channel_id", "thread_ts", "channels", "initial_comment", "blocks", "username", "icon_url", "icon_emoji"}, run: filesCompleteUpload},
		"files.info":                   {tier: tier4, scope: "files:read", form: true, required: []string{"file"}, optional: []string{"count", "cursor", "limit", "page"}, run: filesInfo},

		"apps.connections.open": {tier: tier3, app: true, run: appsConnectionsOpen},
	}
}

// scopesFor lists the scopes of which one is enough for the method, given the conversation it names (nil when unknown).
func (m *method) scopesFor(c *Channel) []string {
	if m.family == noFamily {
		if m.scope == "" {
			return nil
		}
		return []string{m.scope}
	}
	if m.family == opens {
		return []string{"channels:manage", "groups:write", "im:write", "mpim:write"}
	}
	suffix := ":" + string(m.family)
	switch {
	case c == nil:
		return []string{"channels" + suffix, "groups" + suffix, "im" + suffix, "mpim" + suffix}
	case c.IM:
		return []string{"im" + suffix}
	case c.Private:
		return []string{"groups" + suffix}
	}
	return []string{"channels" + suffix}
}
