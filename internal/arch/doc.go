// Package arch holds the walls of this repository as tests: which package may
// import which, that every package says what it is for, which names and words do
// not appear, and that the documents tell the truth about the code.
//
// It has no code of its own and nobody imports it. The linter draws some of the
// same walls nearer to the editor; here they also hold where no linter runs.
// What a document claims is compared with the code: the state chart and the
// generated reference word by word (go test ./internal/arch -rewrite writes them
// anew), the tour by the names that it mentions.
package arch
