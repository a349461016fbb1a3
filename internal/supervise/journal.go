package supervise

import (
	"bytes"
	"fmt"
	"os"
	"sync"
)

const (
	// maxJournal is how long a journal gets before the one before is dropped.
	maxJournal = 8 << 20
	// maxTail is how much of it can be told when its process does not start.
	maxTail = 2 << 10
)

// Journal is a file of bounded size for what a process says: when it is full it
// becomes PATH.1, instead of the one before.
type Journal struct {
	path string

	mu   sync.Mutex
	file *os.File
	size int64
	tail []byte
}

// OpenJournal goes on in a file.
func OpenJournal(path string) (*Journal, error) {
	j := &Journal{path: path}
	if err := j.open(os.O_APPEND); err != nil {
		return nil, fmt.Errorf("open a journal: %w", err)
	}
	return j, nil
}

func (j *Journal) open(flag int) (err error) {
	if j.file, err = os.OpenFile(j.path, os.O_CREATE|os.O_WRONLY|flag, 0o600); err != nil {
		return err
	}
	info, err := j.file.Stat()
	if err == nil {
		j.size = info.Size()
	}
	return err
}

// Write implements io.Writer.
func (j *Journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.tail = append(j.tail, p...)
	j.tail = bytes.Clone(j.tail[max(0, len(j.tail)-maxTail):])
	if j.size+int64(len(p)) > maxJournal {
		_ = j.file.Close() // what matters is the next one
		_ = os.Rename(j.path, j.path+".1")
		if err := j.open(os.O_TRUNC); err != nil {
			return 0, err
		}
	}
	n, err := j.file.Write(p)
	j.size += int64(n)
	return n, err
}

// Path is the file.
func (j *Journal) Path() string { return j.path }

// Tail is what was written last.
func (j *Journal) Tail() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return string(bytes.TrimSpace(j.tail))
}

// Close closes the file.
func (j *Journal) Close() error { return j.file.Close() }
