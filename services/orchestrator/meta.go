package orchestrator

import (
	"context"
	"fmt"
	"net/http"

	"connectrpc.com/connect"
	"connectrpc.com/grpcreflect"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"

	"github.com/slipway-hq/slipway/gen/slipway/api/v1/apiv1connect"
)

// apiServices are what reflection lists and health answers for.
var apiServices = []string{
	apiv1connect.RunServiceName, apiv1connect.LaneServiceName, apiv1connect.JobServiceName, apiv1connect.SystemServiceName, healthService,
}

// meta mounts reflection and health, which gRPC tools expect.
func (o *Orchestrator) meta(mount func(string, http.Handler), options ...connect.HandlerOption) {
	reflector := grpcreflect.NewStaticReflector(apiServices...)
	mount(grpcreflect.NewHandlerV1(reflector, options...))
	mount(grpcreflect.NewHandlerV1Alpha(reflector, options...))
	h := &health{o}
	mount(healthCheck, connect.NewUnaryHandlerSimple(healthCheck, h.Check, options...))
	mount(healthWatch, connect.NewServerStreamHandlerSimple(healthWatch, h.Watch, options...))
}

// Names of the gRPC health checking protocol (github.com/grpc/grpc,
// doc/health-checking.md).
const (
	healthService = "grpc.health.v1.Health"
	healthCheck   = "/" + healthService + "/Check"
	healthWatch   = "/" + healthService + "/Watch"
)

// health serves it.
type health struct{ o *Orchestrator }

func (h *health) status(service string) (*healthv1.HealthCheckResponse, error) {
	known := service == ""
	for _, name := range apiServices {
		known = known || name == service
	}
	if !known {
		return nil, connect.NewError(connect.CodeNotFound, fmt.Errorf("there is no service %q here", service))
	}
	if h.o.adopted.Load() == nil || !h.o.deps.Conn.IsConnected() {
		return &healthv1.HealthCheckResponse{Status: healthv1.HealthCheckResponse_NOT_SERVING}, nil
	}
	return &healthv1.HealthCheckResponse{Status: healthv1.HealthCheckResponse_SERVING}, nil
}

// Check answers for now.
func (h *health) Check(_ context.Context, req *healthv1.HealthCheckRequest) (*healthv1.HealthCheckResponse, error) {
	return h.status(req.GetService())
}

// Watch streams the status whenever it changes, looking at every change of the
// log and of the connection.
func (h *health) Watch(ctx context.Context, req *healthv1.HealthCheckRequest, stream *connect.ServerStream[healthv1.HealthCheckResponse]) error {
	changes := h.o.deps.Conn.StatusChanged()
	defer h.o.deps.Conn.RemoveStatusListener(changes)
	wake, stop := h.o.proj.WatchAll()
	defer stop()
	last := healthv1.HealthCheckResponse_UNKNOWN
	for {
		now, err := h.status(req.GetService())
		if err != nil {
			now = &healthv1.HealthCheckResponse{Status: healthv1.HealthCheckResponse_SERVICE_UNKNOWN}
		}
		if now.GetStatus() != last {
			if err := stream.Send(now); err != nil {
				return err
			}
			last = now.GetStatus()
		}
		select {
		case <-changes:
		case <-wake:
		case <-ctx.Done():
			return nil
		}
	}
}
