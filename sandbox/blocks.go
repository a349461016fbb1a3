package sandbox

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// Limits that Slack documents, in characters unless said otherwise.
const (
	maxBlocksMessage    = 50
	maxBlocksView       = 100
	maxBlocksChars      = 13200 // where Slack begins to answer msg_blocks_too_long; measured by others, not documented
	maxID               = 255   // block_id and action_id
	maxSectionText      = 3000
	maxSectionFields    = 10
	maxFieldText        = 2000
	maxHeaderText       = 150
	maxActions          = 25
	maxContext          = 10
	maxContextActions   = 5
	maxMarkdown         = 12000 // cumulative in one message
	maxTableRows        = 100
	maxTableCells       = 20
	maxImageURL         = 3000
	maxImageAlt         = 2000
	maxLabel            = 2000
	maxButtonText       = 75
	maxButtonValue      = 2000
	maxButtonURL        = 3000
	maxOptionText       = 75
	maxOptionValue      = 150
	maxSelectOptions    = 100
	maxOverflowOptions  = 5
	maxCheckboxOptions  = 10
	maxPlaceholder      = 150
	maxConfirmTitle     = 100
	maxConfirmText      = 300
	maxConfirmButton    = 30
	maxTablesMessage    = 1
	maxPlansMessage     = 1
	maxValidationErrors = 10 // of a hostile payload only the first ones are worth an answer
)

// surface is where blocks are shown.
type surface int

const (
	onMessage surface = iota
	onModal
	onHome
)

// blockSpec says what a block may hold and where it may be sent. check looks at what a list of names cannot say.
type blockSpec struct {
	fields   string // space-separated, beside type and block_id
	surfaces []surface
	check    func(*checker, map[string]any, string)
}

var (
	everywhere   = []surface{onMessage, onModal, onHome}
	messagesOnly = []surface{onMessage}
)

func blockSpecs() map[string]blockSpec {
	return map[string]blockSpec{
		"section":         {"text fields accessory expand", everywhere, (*checker).section},
		"header":          {"text", everywhere, (*checker).header},
		"divider":         {"", everywhere, nil},
		"context":         {"elements", everywhere, (*checker).context},
		"actions":         {"elements", everywhere, (*checker).actions},
		"image":           {"image_url slack_file alt_text title", everywhere, (*checker).image},
		"input":           {"label element hint optional dispatch_action", everywhere, (*checker).input},
		"rich_text":       {"elements", everywhere, (*checker).richText},
		"markdown":        {"text", messagesOnly, (*checker).markdown},
		"table":           {"rows column_settings", []surface{onMessage, onHome}, (*checker).table},
		"plan":            {"title tasks", messagesOnly, (*checker).plan},
		"task_card":       {"task_id title status details output sources hide_title", messagesOnly, (*checker).taskCard},
		"context_actions": {"elements", messagesOnly, (*checker).contextActions},
		"alert":           {"text level", []surface{onModal}, (*checker).alert},
		// Declared by Slack and not used by us: accepted as they come.
		"card": {"*", everywhere, nil}, "carousel": {"*", []surface{onMessage, onHome}, nil},
		"container": {"*", messagesOnly, nil}, "data_table": {"*", []surface{onMessage, onHome}, nil},
		"data_visualization": {"*", messagesOnly, nil}, "video": {"*", everywhere, nil}, "file": {"*", messagesOnly, nil},
	}
}

// checker walks blocks and collects what Slack would complain about, each with a pointer to the place.
type checker struct {
	where     surface
	errors    []string
	blockIDs  map[string]bool
	actionIDs map[string]bool // of one block
	counts    map[string]int
	markdowns int // characters
}

func (c *checker) complain(at, format string, args ...any) {
	if len(c.errors) < maxValidationErrors {
		c.errors = append(c.errors, fmt.Sprintf("[ERROR] "+format, args...)+" [json-pointer:"+at+"]")
	}
}

// validateBlocks checks blocks for a surface and returns them with the ids that Slack adds. A refusal carries Slack's
// error code; root is the beginning of its JSON pointers.
func (s *Server) validateBlocks(v any, where surface, root string) (json.RawMessage, *apiError) {
	list, ok := v.([]any)
	if !ok {
		return nil, fail("invalid_blocks_format")
	}
	limit := maxBlocksView
	if where == onMessage {
		limit = maxBlocksMessage
	}
	c := &checker{where: where, blockIDs: map[string]bool{}, counts: map[string]int{}}
	if len(list) > limit {
		c.complain(root, "no more than %d items allowed", limit)
	}
	for i, b := range list {
		c.block(b, fmt.Sprintf("%s/%d", root, i))
	}
	c.totals(root)
	if len(c.errors) > 0 {
		return nil, fail("invalid_blocks", c.errors...)
	}
	s.addIDs(list)
	raw, err := json.Marshal(list)
	if err != nil {
		return nil, fail("invalid_blocks_format")
	}
	if where == onMessage && utf8.RuneCount(raw) > maxBlocksChars {
		return nil, fail("msg_blocks_too_long")
	}
	return raw, nil
}

func (c *checker) totals(root string) {
	if c.counts["table"] > maxTablesMessage {
		c.complain(root, "only one table block allowed")
	}
	if c.counts["plan"] > maxPlansMessage {
		c.complain(root, "only one plan block allowed")
	}
	if c.markdowns > maxMarkdown {
		c.complain(root, "markdown blocks must be less than %d characters together", maxMarkdown+1)
	}
}

// addIDs gives every block and every interactive element the id that Slack would invent.
func (s *Server) addIDs(list []any) {
	for _, b := range list {
		block, ok := b.(map[string]any)
		if !ok {
			continue
		}
		if id, _ := block["block_id"].(string); id == "" {
			block["block_id"] = s.world.id("b")
		}
		elements, _ := block["elements"].([]any)
		if accessory := block["accessory"]; accessory != nil {
			elements = append(slices.Clone(elements), accessory)
		}
		for _, e := range elements {
			element, ok := e.(map[string]any)
			if !ok || !interactive(str(element, "type")) {
				continue
			}
			if str(element, "action_id") == "" {
				element["action_id"] = s.world.id("a")
			}
		}
	}
}

func (c *checker) block(v any, at string) {
	b, ok := v.(map[string]any)
	if !ok {
		c.complain(at, "must be an object")
		return
	}
	kind := str(b, "type")
	spec, known := blockSpecs()[kind]
	switch {
	case !known:
		c.complain(at+"/type", "unsupported type: %s", kind)
		return
	case !slices.Contains(spec.surfaces, c.where):
		c.complain(at+"/type", "unsupported block on this surface: %s", kind)
		return
	}
	c.counts[kind]++
	c.fields(b, spec.fields+" type block_id", at)
	if id, present := b["block_id"]; present {
		c.uniqueID(c.blockIDs, id, "block_id", at)
	}
	c.actionIDs = map[string]bool{}
	if spec.check != nil {
		spec.check(c, b, at)
	}
}

// fields refuses properties that the shape does not have.
func (c *checker) fields(o map[string]any, allowed, at string) {
	if strings.HasPrefix(allowed, "*") {
		return
	}
	names := strings.Fields(allowed)
	for _, name := range sortedKeys(o) {
		if !slices.Contains(names, name) {
			c.complain(at, "invalid additional property: %s", name)
		}
	}
}

func (c *checker) uniqueID(seen map[string]bool, v any, name, at string) {
	id, ok := v.(string)
	switch {
	case !ok || utf8.RuneCountInString(id) > maxID:
		c.complain(at+"/"+name, "must be less than %d characters", maxID+1)
	case id != "" && seen[id]:
		c.complain(at+"/"+name, "`%s` %s already exists", id, name)
	}
	seen[id] = true
}

// text checks a text object. kinds names the allowed types.
func (c *checker) text(v any, kinds string, limit int, at string) {
	t, ok := v.(map[string]any)
	if !ok {
		c.complain(at, "missing required field: text")
		return
	}
	kind := str(t, "type")
	if !strings.Contains(kinds, kind) || kind == "" {
		c.complain(at+"/type", "must be one of: %s", kinds)
	}
	c.fields(t, map[bool]string{true: "type text emoji", false: "type text verbatim"}[kind == "plain_text"], at)
	c.length(t["text"], 1, limit, at+"/text")
}

func (c *checker) length(v any, least, most int, at string) {
	text, ok := v.(string)
	switch n := utf8.RuneCountInString(text); {
	case !ok:
		c.complain(at, "must be a string")
	case n < least:
		c.complain(at, "must be more than %d characters", least-1)
	case n > most:
		c.complain(at, "must be less than %d characters", most+1)
	}
}

func (c *checker) optionalLength(o map[string]any, name string, most int, at string) {
	if v, present := o[name]; present {
		c.length(v, 0, most, at+"/"+name)
	}
}

const (
	plainText = "plain_text"
	anyText   = "mrkdwn plain_text"
)

func (c *checker) section(b map[string]any, at string) {
	fields, hasFields := b["fields"].([]any)
	if b["text"] == nil && !hasFields {
		c.complain(at, "missing required field: text or fields")
	}
	if b["text"] != nil {
		c.text(b["text"], anyText, maxSectionText, at+"/text")
	}
	if len(fields) > maxSectionFields || hasFields && len(fields) == 0 {
		c.complain(at+"/fields", "1 to %d items allowed", maxSectionFields)
	}
	for i, f := range fields {
		c.text(f, anyText, maxFieldText, fmt.Sprintf("%s/fields/%d", at, i))
	}
	if b["accessory"] != nil {
		c.element(b["accessory"], "image", at+"/accessory")
	}
}

func (c *checker) header(b map[string]any, at string) {
	c.text(b["text"], plainText, maxHeaderText, at+"/text")
}

// list returns the items of a list of one to most items.
func (c *checker) list(b map[string]any, name string, most int, at string) []any {
	items, ok := b[name].([]any)
	if !ok || len(items) == 0 || len(items) > most {
		c.complain(at+"/"+name, "1 to %d items required", most)
	}
	return items
}

func (c *checker) context(b map[string]any, at string) {
	for i, e := range c.list(b, "elements", maxContext, at) {
		here := fmt.Sprintf("%s/elements/%d", at, i)
		if o, ok := e.(map[string]any); ok && str(o, "type") == "image" {
			c.imageElement(o, here)
			continue
		}
		c.text(e, anyText, maxSectionText, here)
	}
}

func (c *checker) actions(b map[string]any, at string) {
	for i, e := range c.list(b, "elements", maxActions, at) {
		c.element(e, "", fmt.Sprintf("%s/elements/%d", at, i))
	}
}

func (c *checker) contextActions(b map[string]any, at string) {
	for i, e := range c.list(b, "elements", maxContextActions, at) {
		o, _ := e.(map[string]any)
		if kind := str(o, "type"); kind != "feedback_buttons" && kind != "icon_button" {
			c.complain(fmt.Sprintf("%s/elements/%d/type", at, i), "unsupported type: %s", kind)
		}
	}
}

func (c *checker) image(b map[string]any, at string) {
	c.imageElement(b, at)
	if b["title"] != nil {
		c.text(b["title"], plainText, maxImageAlt, at+"/title")
	}
}

func (c *checker) imageElement(o map[string]any, at string) {
	c.length(o["alt_text"], 0, maxImageAlt, at+"/alt_text")
	if o["slack_file"] == nil {
		c.length(o["image_url"], 1, maxImageURL, at+"/image_url")
	}
}

func (c *checker) input(b map[string]any, at string) {
	c.text(b["label"], plainText, maxLabel, at+"/label")
	if b["hint"] != nil {
		c.text(b["hint"], plainText, maxLabel, at+"/hint")
	}
	c.element(b["element"], "plain_text_input", at+"/element")
}

func (c *checker) richText(b map[string]any, at string) {
	elements, ok := b["elements"].([]any)
	if !ok {
		c.complain(at+"/elements", "must be a list")
	}
	for i, e := range elements {
		o, _ := e.(map[string]any)
		switch str(o, "type") {
		case "rich_text_section", "rich_text_list", "rich_text_preformatted", "rich_text_quote":
		default:
			c.complain(fmt.Sprintf("%s/elements/%d/type", at, i), "unsupported type: %s", str(o, "type"))
		}
	}
}

func (c *checker) markdown(b map[string]any, at string) {
	c.length(b["text"], 1, maxMarkdown, at+"/text")
	c.markdowns += utf8.RuneCountInString(str(b, "text"))
}

func (c *checker) table(b map[string]any, at string) {
	for i, r := range c.list(b, "rows", maxTableRows, at) {
		cells, ok := r.([]any)
		if !ok || len(cells) > maxTableCells {
			c.complain(fmt.Sprintf("%s/rows/%d", at, i), "no more than %d items allowed", maxTableCells)
		}
	}
}

func (c *checker) plan(b map[string]any, at string) {
	c.length(b["title"], 1, maxSectionText, at+"/title")
	tasks, _ := b["tasks"].([]any)
	for i, t := range tasks {
		here := fmt.Sprintf("%s/tasks/%d", at, i)
		task, ok := t.(map[string]any)
		if !ok || str(task, "type") != "task_card" {
			c.complain(here+"/type", "must be task_card")
			continue
		}
		c.taskCard(task, here)
	}
}

var taskStates = []string{"pending", "in_progress", "complete", "error"}

func (c *checker) taskCard(b map[string]any, at string) {
	c.length(b["task_id"], 1, maxID, at+"/task_id")
	c.length(b["title"], 1, maxSectionText, at+"/title")
	if !slices.Contains(taskStates, str(b, "status")) {
		c.complain(at+"/status", "must be one of: %s", strings.Join(taskStates, ", "))
	}
	for _, name := range []string{"details", "output"} {
		if o, ok := b[name].(map[string]any); ok {
			c.richText(o, at+"/"+name)
		}
	}
}

func (c *checker) alert(b map[string]any, at string) {
	c.text(b["text"], anyText, maxSectionText, at+"/text")
	levels := []string{"", "default", "info", "warning", "error", "success"}
	if !slices.Contains(levels, str(b, "level")) {
		c.complain(at+"/level", "must be one of: %s", strings.Join(levels[1:], ", "))
	}
}

// str is a string property, or empty.
func str(o map[string]any, name string) string {
	text, _ := o[name].(string)
	return text
}
