package natsnode

import (
	"fmt"
	"log/slog"
)

// serverLog passes what the server says to slog: its notices are details to
// our users, its fatal errors end the start.
type serverLog struct {
	log   *slog.Logger
	fatal chan string // holds the first fatal error
}

func newServerLog(log *slog.Logger) *serverLog {
	return &serverLog{log: log, fatal: make(chan string, 1)}
}

func (l *serverLog) Noticef(format string, v ...any) { l.say(l.log.Debug, format, v) }
func (l *serverLog) Warnf(format string, v ...any)   { l.say(l.log.Warn, format, v) }
func (l *serverLog) Errorf(format string, v ...any)  { l.say(l.log.Error, format, v) }
func (l *serverLog) Debugf(string, ...any)           {}
func (l *serverLog) Tracef(string, ...any)           {}

func (l *serverLog) Fatalf(format string, v ...any) {
	select {
	case l.fatal <- fmt.Sprintf(format, v...):
	default:
	}
}

func (l *serverLog) say(level func(string, ...any), format string, v []any) {
	level("nats server", "text", fmt.Sprintf(format, v...))
}
