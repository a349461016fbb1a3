// Package browser drives the sandbox page in headless Chromium, as a newcomer
// does: a real `slipway up`, a real page, keys and clicks, and what is then to be
// seen. What the services promise one another is test/e2e's; how a card is laid
// out is the golden files' of services/notifier.
//
// It is for `make browser`, which sets the build tag and installs Chromium; other
// runs of the tests see this comment alone.
//
// Invariants: every wait is for something on the page, with an end, and a failure
// says what the page showed instead; each test has a process, a data folder and a
// page of its own; pictures land in shots/last, and -rewrite renews the kept ones.
package browser
