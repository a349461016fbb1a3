package sandbox

import (
	"regexp"
	"strings"
	"sync"
)

var emojiName = regexp.MustCompile(`^[a-z0-9_+'-]+(::skin-tone-[2-6])?$`)

// standardEmoji are the names that every workspace knows, read once from the table that the page uses too. A test checks
// that the file is there; without it no name is known.
var standardEmoji = sync.OnceValue(func() map[string]bool {
	out := map[string]bool{}
	table, err := static.ReadFile("static/emoji.txt")
	if err != nil {
		return out
	}
	for line := range strings.Lines(string(table)) {
		if strings.HasPrefix(line, "# ") {
			continue
		}
		for i, name := range strings.Fields(line) {
			if i > 0 { // the first is the character
				out[name] = true
			}
		}
	}
	return out
})

// emoji says whether a reaction of that name can be given here: a standard emoji, or one that Config.Emoji adds.
func (s *Server) emoji(name string) bool {
	if !emojiName.MatchString(name) {
		return false
	}
	base, _, _ := strings.Cut(name, "::")
	for _, own := range s.cfg.Emoji {
		if base == own {
			return true
		}
	}
	return standardEmoji()[base]
}
