package main

import (
	"context"
	"fmt"

	apiv1 "github.com/slipway-hq/slipway/gen/slipway/api/v1"
	"github.com/slipway-hq/slipway/internal/natsnode"
)

const (
	// scarce is how much free disk an operator is warned at.
	scarce = 1 << 30
	// mib is for people.
	mib = 1 << 20
)

// diskCheck looks at the free disk of the data folder: a full disk is silent
// until writes time out.
func diskCheck(dir string) func(context.Context) []*apiv1.Check {
	return func(context.Context) []*apiv1.Check {
		free, err := natsnode.FreeDisk(dir)
		switch {
		case err != nil:
			return []*apiv1.Check{{Name: "disk", Level: apiv1.Check_LEVEL_WARNING, Finding: "its free space cannot be read: " + err.Error()}}
		case free < scarce:
			return []*apiv1.Check{{Name: "disk", Level: apiv1.Check_LEVEL_WARNING, Finding: fmt.Sprintf("%d MiB are free in %s", free/mib, dir), Remedy: "make room: when it is full, new work is refused"}}
		}
		return []*apiv1.Check{{Name: "disk", Level: apiv1.Check_LEVEL_OK, Finding: fmt.Sprintf("%d GiB are free in %s", free/scarce, dir)}}
	}
}
