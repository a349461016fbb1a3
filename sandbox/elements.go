package sandbox

import (
	"fmt"
	"slices"
	"strings"
)

// elementFields are the properties of the interactive elements, beside type, action_id, confirm and focus_on_load.
var elementFields = map[string]string{
	"button":                     "text value url style accessibility_label",
	"overflow":                   "options",
	"static_select":              "placeholder options option_groups initial_option",
	"multi_static_select":        "placeholder options option_groups initial_options max_selected_items",
	"external_select":            "placeholder initial_option min_query_length",
	"multi_external_select":      "placeholder initial_options min_query_length max_selected_items",
	"users_select":               "placeholder initial_user",
	"multi_users_select":         "placeholder initial_users max_selected_items",
	"conversations_select":       "placeholder initial_conversation default_to_current_conversation response_url_enabled filter",
	"multi_conversations_select": "placeholder initial_conversations default_to_current_conversation max_selected_items filter",
	"channels_select":            "placeholder initial_channel response_url_enabled",
	"multi_channels_select":      "placeholder initial_channels max_selected_items",
	"checkboxes":                 "options initial_options",
	"radio_buttons":              "options initial_option",
	"datepicker":                 "placeholder initial_date",
	"timepicker":                 "placeholder initial_time timezone",
	"datetimepicker":             "initial_date_time",
	"plain_text_input":           "placeholder initial_value multiline min_length max_length dispatch_action_config",
	"email_text_input":           "placeholder initial_value dispatch_action_config",
	"url_text_input":             "placeholder initial_value dispatch_action_config",
	"number_input":               "placeholder initial_value is_decimal_allowed min_value max_value dispatch_action_config",
	"rich_text_input":            "placeholder initial_value dispatch_action_config",
	"file_input":                 "filetypes max_files",
	"workflow_button":            "text workflow style accessibility_label",
	"feedback_buttons":           "*",
	"icon_button":                "*",
}

// interactive says whether elements of that type carry an action_id.
func interactive(kind string) bool { return elementFields[kind] != "" }

// inputOnly elements live in input blocks and nowhere else.
var inputOnly = []string{"plain_text_input", "email_text_input", "url_text_input", "number_input", "rich_text_input", "file_input"}

// element checks an interactive element. also names one more type that is allowed here.
func (c *checker) element(v any, also, at string) {
	e, ok := v.(map[string]any)
	if !ok {
		c.complain(at, "must be an object")
		return
	}
	kind := str(e, "type")
	if kind == "image" && also == "image" {
		c.imageElement(e, at)
		return
	}
	misplaced := slices.Contains(inputOnly, kind) && also != "plain_text_input"
	if !interactive(kind) || misplaced {
		c.complain(at+"/type", "unsupported type: %s", kind)
		return
	}
	c.fields(e, elementFields[kind]+" type action_id confirm focus_on_load", at)
	if id, present := e["action_id"]; present {
		c.uniqueID(c.actionIDs, id, "action_id", at)
	}
	if e["confirm"] != nil {
		c.confirm(e["confirm"], at+"/confirm")
	}
	if e["placeholder"] != nil {
		c.text(e["placeholder"], plainText, maxPlaceholder, at+"/placeholder")
	}
	c.elementShape(kind, e, at)
}

func (c *checker) elementShape(kind string, e map[string]any, at string) {
	switch kind {
	case "button":
		c.button(e, at)
	case "overflow":
		c.options(e, maxOverflowOptions, at)
	case "static_select", "multi_static_select":
		if e["option_groups"] == nil {
			c.options(e, maxSelectOptions, at)
		}
	case "checkboxes", "radio_buttons":
		c.options(e, maxCheckboxOptions, at)
	}
}

var buttonStyles = []string{"primary", "danger"}

func (c *checker) button(e map[string]any, at string) {
	c.text(e["text"], plainText, maxButtonText, at+"/text")
	c.optionalLength(e, "value", maxButtonValue, at)
	c.optionalLength(e, "url", maxButtonURL, at)
	c.optionalLength(e, "accessibility_label", maxButtonText, at)
	if style, present := e["style"]; present && !slices.Contains(buttonStyles, fmt.Sprint(style)) {
		c.complain(at+"/style", "must be one of: %s", strings.Join(buttonStyles, ", "))
	}
}

func (c *checker) options(e map[string]any, most int, at string) {
	for i, v := range c.list(e, "options", most, at) {
		here := fmt.Sprintf("%s/options/%d", at, i)
		o, ok := v.(map[string]any)
		if !ok {
			c.complain(here, "must be an object")
			continue
		}
		c.text(o["text"], anyText, maxOptionText, here+"/text")
		c.optionalLength(o, "value", maxOptionValue, here)
	}
}

func (c *checker) confirm(v any, at string) {
	o, ok := v.(map[string]any)
	if !ok {
		c.complain(at, "must be an object")
		return
	}
	c.fields(o, "title text confirm deny style", at)
	c.text(o["text"], anyText, maxConfirmText, at+"/text")
	for name, limit := range map[string]int{"title": maxConfirmTitle, "confirm": maxConfirmButton, "deny": maxConfirmButton} {
		if o[name] != nil {
			c.text(o[name], plainText, limit, at+"/"+name)
		}
	}
}
