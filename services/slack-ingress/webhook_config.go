package ingress

import (
	"context"
	"sync"

	"github.com/slipway-hq/slipway/domain/listen"
	"github.com/slipway-hq/slipway/internal/configfile"
)

// watchConfig keeps the configuration of this door up to date until ctx ends. It
// returns when the file was read once; wait returns when watching is over.
func (s *Service) watchConfig(ctx context.Context) (wait func()) {
	if s.cfg.File == "" {
		return func() {}
	}
	looked := make(chan struct{})
	tell := sync.OnceFunc(func() { close(looked) })
	var watching sync.WaitGroup
	watching.Go(func() {
		defer tell()
		_ = configfile.Watch(ctx, s.cfg.File, func(file *configfile.File, problems configfile.Problems) { // it ends with ctx alone
			s.take(file, problems)
			tell()
		})
	})
	<-looked
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
	ears := listen.Ears(file.Config)
	s.ears.Store(&ears)
	if before := s.config.Swap(&file.Config); before == nil {
		s.log.Info("webhooks, relays and listeners configured", "file", file.Name, "digest", file.Digest)
	} else {
		s.log.Info("webhooks, relays and listeners configured anew", "file", file.Name, "digest", file.Digest)
	}
	s.channels.poke()
}
