package python

// expression is a node of Python's expressions. op says which; the rest depends
// on it.
type expression struct {
	op   string
	line int
	// text of a name, number, string, attribute or operator.
	text string
	// a, b, c are operands.
	a, b, c *expression
	// items of a display or call.
	items []item
	// loops of a comprehension.
	loops []loop
	// params of a lambda or function.
	params []param
}

// item is one element of a display or one argument.
type item struct {
	// key of a dict entry; nil with spread.
	key *expression
	// name of a keyword argument.
	name  string
	value *expression
	// spread is "*" or "**".
	spread string
}

type loop struct {
	targets []string
	in      *expression
	ifs     []*expression
}

type param struct {
	name  string
	value *expression
}

// The kinds of expressions.
const (
	opName    = "name"
	opNumber  = "number"
	opString  = "string"
	opFormat  = "format" // f"…": items are texts and values
	opList    = "list"
	opTuple   = "tuple"
	opSet     = "set"
	opDict    = "dict"
	opListOf  = "list of" // comprehensions
	opSetOf   = "set of"
	opDictOf  = "dict of"
	opCall    = "call"
	opIndex   = "index"
	opSlice   = "slice"
	opMember  = "member"
	opUnary   = "unary"
	opBinary  = "binary"
	opChoice  = "choice"
	opLambda  = "lambda"
	opUnknown = "unknown" // text says why
)
