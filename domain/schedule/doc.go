// Package schedule is the clock of one schedule: when it ticks (Spec), and which
// of its ticks become runs (State, Command, Decide, Fold). It is pure: time comes
// in with the command. pipeline describes schedules as configured, board keeps
// the folds of all, the orchestrator waits for the ticks, puts decisions into the
// log and starts the runs.
//
// # When the clocks are changed
//
// Times are local to the schedule's zone, and a zone's clock jumps twice a year.
//   - A tick at a local time that does not exist that day ("30 1 * * *" in London
//     in spring) is at the first moment after the gap: once, however many of its
//     ticks fell in there.
//   - A tick at a local time that happens twice is at the first of the two.
//   - What ticks in every hour ("*/15 * * * *", "5 * * * *", @hourly) goes by what
//     the clock shows at each real moment, so its cadence stays: it ticks in both
//     of two equal hours, and has nothing to make up for after a gap.
//   - What ticks all the time in some hours ("*/15 0-5 * * *") keeps its cadence
//     through two equal hours as well.
//   - One moment ("at") follows the first two.
//
// These are the rules of Vixie's cron. Invariants, held by property tests: Next is
// later than its argument and the earliest of its kind; every tick after arming is
// in exactly one ScheduleFired, as a run or counted as skipped; no tick at or
// before arming is run by the clock; replaying the events gives the same state.
package schedule
