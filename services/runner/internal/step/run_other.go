//go:build !linux && !darwin

package step

import "context"

func run(context.Context, Spec, Sink, Options) (Result, error) { return Result{}, ErrUnsupported }

// AwaitPredecessors has nothing to wait for where no step can run.
func AwaitPredecessors(context.Context, string) error { return nil }
