// Package bennettbot turns a BennettBot configuration, the raw_config of its
// job_configs.py, into namespaces of slipway.yaml, and lists what a person has
// to decide.
//
// The file is data to it: internal/python evaluates its constants within bounds,
// and runs nothing. Whatever is not understood is left to a person with its line,
// never guessed, and never ends the rest. It is not for checking what it wrote; internal/configfile is, and
// Import asks it, so that the file it returns always loads: what would not is a
// comment in it.
//
// cmd/slipway uses it. It reads nothing but what it is given.
package bennettbot
