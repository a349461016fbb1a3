// Package telemetry sets up what a process tells about itself: logs with slog,
// traces and metrics with OpenTelemetry, and carries trace context through
// messages. It declares no metric: each service lists its own. Mains set it up;
// services get a logger and use the global providers or those of Telemetry.
//
// Invariants: trace ids exist and travel even when nobody collects traces;
// nothing is sent anywhere unless an OTLP endpoint is configured; a Secret
// never shows itself.
package telemetry
