package sandbox

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// saveDelay gathers changes before they are written; what a crash can lose is at most this much of the conversation.
const saveDelay = 200 * time.Millisecond

// snapshotVersion is raised when an older file can no longer be read.
const snapshotVersion = 1

// snapshot is what outlives a restart: what people said and see. Contents of files, views and response URLs do not.
type snapshot struct {
	Version    int                   `json:"version"`
	Messages   map[string][]*Message `json:"messages"`
	Ephemerals []*Message            `json:"ephemerals"`
	Members    map[string][]string   `json:"members"`
	Channels   []Channel             `json:"channels,omitempty"` // in their order; those of every workspace are known already
	Users      map[string]User       `json:"users,omitempty"`    // as they are now
	LastMicro  int64                 `json:"last_micro"`
	NextID     uint64                `json:"next_id"`
}

// load takes the conversation out of the state file, if there is one.
func (s *Server) load() error {
	raw, err := os.ReadFile(s.cfg.StateFile)
	switch {
	case s.cfg.StateFile == "", errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("sandbox: read state: %w", err)
	}
	var snap snapshot
	if err := json.Unmarshal(raw, &snap); err != nil {
		return fmt.Errorf("sandbox: state file %s is damaged (delete it to start over): %w", s.cfg.StateFile, err)
	}
	if snap.Version != snapshotVersion {
		return nil // another version's conversation is not worth an error
	}
	w := &s.world
	for _, c := range snap.Channels {
		if w.channels[c.ID] == nil {
			w.addChannel(c)
		}
	}
	for id, u := range snap.Users {
		if w.users[id] != nil {
			w.users[id] = &u
		}
	}
	for id, members := range snap.Members {
		if c := w.channels[id]; c != nil {
			c.Members = members
		}
	}
	for id, messages := range snap.Messages {
		if w.channels[id] != nil {
			w.messages[id] = messages
		}
	}
	w.ephemerals, w.lastMicro, w.nextID = snap.Ephemerals, snap.LastMicro, snap.NextID
	return nil
}

// keepSaving writes the state file a moment after every change, until ctx ends.
func (s *Server) keepSaving(ctx context.Context) {
	for {
		s.mu.Lock()
		next := s.changes.notify
		s.mu.Unlock()
		select {
		case <-next:
		case <-ctx.Done():
			return
		}
		sleep(ctx, saveDelay)
		if err := s.save(); err != nil {
			s.log.Error("sandbox state not saved", "error", err)
		}
	}
}

// save replaces the state file in one step, so that a crash leaves the old one or the new one.
func (s *Server) save() error {
	s.mu.Lock()
	members, users, opened := map[string][]string{}, map[string]User{}, []Channel{}
	for _, id := range s.world.order {
		c := s.world.channels[id]
		members[id] = c.Members
		opened = append(opened, c.clone())
	}
	for id, u := range s.world.users {
		users[id] = *u
	}
	raw, err := json.Marshal(snapshot{
		Version: snapshotVersion, Messages: s.world.messages, Ephemerals: s.world.ephemerals, Members: members, Channels: opened, Users: users,
		LastMicro: s.world.lastMicro, NextID: s.world.nextID,
	})
	s.mu.Unlock()
	if err != nil {
		return fmt.Errorf("encode state: %w", err)
	}
	temp, err := os.CreateTemp(filepath.Dir(s.cfg.StateFile), filepath.Base(s.cfg.StateFile)+".*")
	if err != nil {
		return fmt.Errorf("create state: %w", err)
	}
	_, err = temp.Write(raw)
	if err = errors.Join(err, temp.Close()); err == nil {
		err = os.Rename(temp.Name(), s.cfg.StateFile)
	}
	if err != nil {
		_ = os.Remove(temp.Name()) // the first error is the one to tell
		return fmt.Errorf("write state: %w", err)
	}
	return nil
}
