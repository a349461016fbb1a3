package reply

import (
	"unicode/utf8"

	"github.com/slack-go/slack"

	"github.com/slipway-hq/slipway/domain/grammar"
	commandv1 "github.com/slipway-hq/slipway/gen/slipway/command/v1"
)

const (
	// maxText is what Slack advises for a message's text, in characters.
	maxText = 4000
	// maxSection and maxLabel are Block Kit's bounds, in characters.
	maxSection = 3000
	maxLabel   = 75
	// maxChoices is how many buttons a person takes in at a glance.
	maxChoices = 5

	ephemeral = "ephemeral"
	inChannel = "in_channel"
)

// Message is an answer as a slash command's response or a response URL wants it.
type Message struct {
	ResponseType string        `json:"response_type"`
	Text         string        `json:"text"`
	Blocks       []slack.Block `json:"blocks,omitempty"`
	ThreadTS     string        `json:"thread_ts,omitempty"`
	// ReplaceOriginal is never omitted: without it Slack may put an answer in
	// the place of the message that was pressed.
	ReplaceOriginal bool `json:"replace_original"`
}

// Render gives the answer's message. What is not expressly public is private.
func Render(answer *commandv1.Answer) Message {
	kind := ephemeral
	if public(answer) {
		kind = inChannel
	}
	return Message{ResponseType: kind, Text: cut(answer.GetText(), maxText), Blocks: blocks(answer)}
}

func public(answer *commandv1.Answer) bool {
	return answer.GetVisibility() == commandv1.Answer_VISIBILITY_PUBLIC
}

// blocks are needed for choices alone; a plain text reads best as text.
func blocks(answer *commandv1.Answer) []slack.Block {
	var buttons []slack.BlockElement
	for n, choice := range answer.GetChoices() {
		if n == maxChoices {
			break
		}
		if utf8.RuneCountInString(choice.GetSentence()) > grammar.MaxPressValue || choice.GetLabel() == "" {
			continue
		}
		id, value := grammar.EncodeChoice(n, choice.GetSentence())
		label := slack.NewTextBlockObject(slack.PlainTextType, cut(choice.GetLabel(), maxLabel), false, false)
		buttons = append(buttons, slack.NewButtonBlockElement(id, value, label))
	}
	if len(buttons) == 0 {
		return nil
	}
	text := slack.NewTextBlockObject(slack.MarkdownType, cut(answer.GetText(), maxSection), false, false)
	return []slack.Block{slack.NewSectionBlock(text, nil, nil), slack.NewActionBlock("", buttons...)}
}

func cut(text string, limit int) string {
	if utf8.RuneCountInString(text) <= limit {
		return text
	}
	return string([]rune(text)[:limit-1]) + "…"
}
