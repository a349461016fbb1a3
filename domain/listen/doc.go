// Package listen is about listeners: which messages in channels start a job, and
// which runners were asked when all of them are.
//
// It is not for reading Slack's events (slack-ingress does) nor for who may run a
// job (domain/policy). slack-ingress uses Ears, the orchestrator Allows, Decide
// and Fold on the subject of each listener that asks every runner.
//
// Invariants: messages of bots, edits and removals count only where the listener
// says so; of a message's text nothing is kept but the named parts of the match;
// one message, edit or removal asks the runners once, and the same ones however
// often it is delivered, as long as it is among the newest MaxRemembered.
package listen
