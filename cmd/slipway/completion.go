package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/alecthomas/kong"
)

// CompletionCmd prints completions.
type CompletionCmd struct {
	Shell string `arg:"" enum:"bash,zsh,fish" help:"bash, zsh or fish."`
}

// Help says where they go.
func (CompletionCmd) Help() string {
	return "Examples:\n\n  bash: source <(slipway completion bash)\n  zsh:  source <(slipway completion zsh)\n  fish: slipway completion fish | source"
}

// Run prints a script made from the commands and flags of this program.
func (c *CompletionCmd) Run(g *Globals) error {
	places := placesOf(g.parser.Model.Node, "")
	write := map[string]func(io.Writer, []spot) error{"bash": completeBash, "zsh": completeZsh, "fish": completeFish}[c.Shell]
	return write(g.out, places)
}

// spot is a command and what may follow it.
type spot struct {
	path  string // "dead list"; empty for the program itself
	words []word
}

type word struct{ text, help string }

// placesOf lists a node and all below it.
func placesOf(n *kong.Node, path string) []spot {
	here := spot{path: path}
	var below []spot
	for _, child := range n.Children {
		if child.Hidden {
			continue
		}
		here.words = append(here.words, word{child.Name, child.Help})
		below = append(below, placesOf(child, strings.TrimSpace(path+" "+child.Name))...)
	}
	for _, arg := range n.Positional {
		for _, value := range arg.EnumSlice() {
			here.words = append(here.words, word{value, arg.Help})
		}
	}
	for _, group := range n.AllFlags(true) {
		for _, flag := range group {
			here.words = append(here.words, word{"--" + flag.Name, flag.Help})
		}
	}
	return append([]spot{here}, below...)
}

func (p spot) texts() string {
	var out []string
	for _, w := range p.words {
		if w.text != "" {
			out = append(out, w.text)
		}
	}
	return strings.Join(out, " ")
}

// cases maps each place to its words, as a case of bash and zsh.
func cases(places []spot) string {
	var b strings.Builder
	for _, p := range places {
		fmt.Fprintf(&b, "    %q) echo %q ;;\n", p.path, p.texts())
	}
	return b.String()
}

// walk finds the deepest known place in the words typed so far.
const walk = `_slipway_words() {
  case "$1" in
%s    *) return 1 ;;
  esac
}
_slipway_place() {
  local place="" next word
  for word in "$@"; do
    next="${place:+$place }$word"
    if _slipway_words "$next" >/dev/null; then place="$next"; fi
  done
  echo "$place"
}
`

func completeBash(w io.Writer, places []spot) error {
	_, err := fmt.Fprintf(w, "# bash completion of slipway\n"+walk+`_slipway() {
  local place
  place="$(_slipway_place "${COMP_WORDS[@]:1:COMP_CWORD-1}")"
  COMPREPLY=($(compgen -W "$(_slipway_words "$place")" -- "${COMP_WORDS[COMP_CWORD]}"))
}
complete -o default -F _slipway slipway
`, cases(places))
	return err
}

func completeZsh(w io.Writer, places []spot) error {
	_, err := fmt.Fprintf(w, "#compdef slipway\n"+walk+`_slipway() {
  local place
  place="$(_slipway_place "${(@)words[2,CURRENT-1]}")"
  compadd -- ${=$(_slipway_words "$place")}
  _files
}
compdef _slipway slipway
`, cases(places))
	return err
}

func completeFish(w io.Writer, places []spot) error {
	var paths, lines strings.Builder
	for _, p := range places {
		fmt.Fprintf(&paths, " %s", fishQuote(p.path))
		for _, v := range p.words {
			if v.text == "" {
				continue
			}
			fmt.Fprintf(&lines, "complete -c slipway -n %s -a %s -d %s\n", fishQuote("test (_slipway_place) = "+fishQuote(p.path)), fishQuote(v.text), fishQuote(v.help))
		}
	}
	_, err := fmt.Fprintf(w, `# fish completion of slipway
function _slipway_place
  set -l place ""
  for word in (commandline -opc)[2..-1]
    set -l next (string trim -- "$place $word")
    if contains -- "$next"%s
      set place "$next"
    end
  end
  echo "$place"
end
%s`, paths.String(), lines.String())
	return err
}

func fishQuote(s string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(s) + "'"
}
