package arch

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// The forms that a line of our proto files has; `buf format` keeps it so.
var (
	protoBlock  = regexp.MustCompile(`^(message|enum|service) (\w+) \{`)
	protoField  = regexp.MustCompile(`^(repeated |optional )?([\w.]+|map<[^>]+>) (\w+) = \d+`)
	protoValue  = regexp.MustCompile(`^([A-Z][A-Z0-9_]*) = \d+`)
	protoMethod = regexp.MustCompile(`^rpc (\w+)\((stream )?(\w+)\) returns \((stream )?(\w+)\)`)
)

// proto is where a description has got to.
type proto struct {
	out     *strings.Builder
	comment []string
	blocks  []*block // the ones around, innermost last
}

// block is a message, an enum or a service on its way to being written. A block
// without a name is a oneof or a method's options: what it holds belongs to the
// block around it.
type block struct {
	name   string // with the names around it
	said   string
	head   string
	rows   []string
	nested strings.Builder
}

// describeProto writes the messages, enums and services of a file as Markdown,
// with the comments above each.
func describeProto(t *testing.T, out *strings.Builder, path string) {
	t.Helper()
	p := proto{out: out}
	for _, line := range strings.Split(read(t, path), "\n") {
		p.line(strings.TrimSpace(line))
	}
	if len(p.blocks) != 0 {
		t.Fatalf("%s: %d blocks stay open: the format is not the expected one", path, len(p.blocks))
	}
}

func (p *proto) line(line string) {
	if text, ok := strings.CutPrefix(line, "//"); ok {
		p.comment = append(p.comment, strings.TrimSpace(text))
		return
	}
	said := cell(strings.Join(p.comment, " "))
	p.comment = nil
	switch {
	case protoBlock.MatchString(line):
		p.open(protoBlock.FindStringSubmatch(line), said)
		if strings.HasSuffix(line, "{}") {
			p.close()
		}
	case protoMethod.MatchString(line):
		m := protoMethod.FindStringSubmatch(line)
		p.row(fmt.Sprintf("`%s(%s%s)` | `%s%s` | %s", m[1], m[2], m[3], m[4], m[5], said))
		if strings.HasSuffix(line, "{") {
			p.blocks = append(p.blocks, &block{})
		}
	case strings.HasSuffix(line, "{"):
		p.blocks = append(p.blocks, &block{})
	case strings.HasPrefix(line, "}"):
		p.close()
	case protoValue.MatchString(line):
		p.row(fmt.Sprintf("`%s` | %s", protoValue.FindStringSubmatch(line)[1], said))
	case protoField.MatchString(line) && len(p.blocks) > 0:
		m := protoField.FindStringSubmatch(line)
		p.row(fmt.Sprintf("`%s` | `%s` | %s", m[3], m[1]+m[2], said))
	}
}

// heads are the tables of each kind of block.
var heads = map[string]string{
	"message": "| field | type | meaning |\n|---|---|---|\n",
	"enum":    "| value | meaning |\n|---|---|\n",
	"service": "| method | answers | meaning |\n|---|---|---|\n",
}

func (p *proto) open(m []string, said string) {
	b := &block{name: m[2], said: said, head: heads[m[1]]}
	if around := p.named(); around != nil {
		b.name = around.name + "." + b.name
	}
	p.blocks = append(p.blocks, b)
}

// named is the innermost block that is no oneof.
func (p *proto) named() *block {
	for _, b := range slices.Backward(p.blocks) {
		if b.name != "" {
			return b
		}
	}
	return nil
}

func (p *proto) row(text string) {
	if b := p.named(); b != nil {
		b.rows = append(b.rows, text)
	}
}

// close writes a block behind the one around it.
func (p *proto) close() {
	if len(p.blocks) == 0 {
		return
	}
	b := p.blocks[len(p.blocks)-1]
	p.blocks = p.blocks[:len(p.blocks)-1]
	if b.name == "" {
		return
	}
	to := p.out
	if around := p.named(); around != nil {
		to = &around.nested
	}
	fmt.Fprintf(to, "\n## %s\n", b.name)
	if b.said != "" {
		fmt.Fprintf(to, "\n%s\n", b.said)
	}
	if len(b.rows) > 0 {
		fmt.Fprintf(to, "\n%s", b.head)
	}
	for _, row := range b.rows {
		fmt.Fprintf(to, "| %s |\n", row)
	}
	to.WriteString(b.nested.String())
}
