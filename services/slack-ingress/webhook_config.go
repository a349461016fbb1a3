package ingress

import (
	"context"
	"errors"
	"sync"

	"github.com/slipway-hq/slipway/internal/configfile"
)

// watchConfig keeps the configuration of this door up to date until ctx ends. It
// returns when the file was read once; wait returns when watching is over.
func (s *Service) watchConfig(ctx context.Context) (wait func()) {
	if s.cfg.File == "" {
		return func() {}
	}
	s.take(configfile.Load(s.cfg.File))
	var watching sync.WaitGroup
	watching.Go(func() {
		if err := configfile.WatchEvery(ctx, s.cfg.File, s.watchEvery, s.take); err != nil && !errors.Is(err, ctx.Err()) {
			s.log.ErrorContext(ctx, "configuration not watched any more", "error", err)
		}
	})
	return watching.Wait
}

// take puts a good file into force. After a bad one the last good one stays.
func (s *Service) take(file *configfile.File, problems configfile.Problems) {
	if err := problems.Err(); err != nil {
		s.log.Error("configuration not taken; the one before stays in force", "file", s.cfg.File, "error", err)
		said := err.Error()
		s.configProblem.Store(&said)
		return
	}
	s.configProblem.Store(nil)
	if before := s.config.Swap(&file.Config); before == nil {
		s.log.Info("webhooks and relays configured", "file", file.Name, "digest", file.Digest)
	} else {
		s.log.Info("webhooks and relays configured anew", "file", file.Name, "digest", file.Digest)
	}
	s.channels.poke()
}
