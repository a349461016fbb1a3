package configfile

import (
	"encoding/json"
	"fmt"
)

// Schema is a JSON Schema (draft 2020-12) of slipway.yaml for editors, made
// from the same table of keys as the decoder. It knows forms; rules that reach
// over more than one key are found by Parse alone.
func Schema() []byte {
	schema := document().schema
	schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	schema["title"] = "slipway.yaml"
	schema["description"] = "What Slipway may deploy or run, where, and how."
	out, err := json.MarshalIndent(schema, "", "  ")
	if err != nil {
		panic(fmt.Sprintf("configfile: the table of keys has no JSON form: %v", err)) // maps of plain values always have one
	}
	return append(out, '\n')
}
