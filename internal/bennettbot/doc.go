// Package bennettbot turns a BennettBot configuration, the raw_config of its
// job_configs.py, into namespaces of slipway.yaml, and lists what a person has
// to decide.
//
// The file is data to it: an evaluator of its own understands the expressions
// that configurations are written with (literals, constants, joined and
// formatted texts, spreads, comprehensions, functions of one return), without
// Python, without imports, and within bounds. Whatever it does not understand
// is an unknown value with a line and a reason, never a guess, and never ends
// the rest. It is not for checking what it wrote; internal/configfile is, and
// Import asks it, so that the file it returns always loads: what would not is a
// comment in it.
//
// cmd/slipway uses it. It reads nothing but what it is given.
package bennettbot
