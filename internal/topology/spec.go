package topology

import (
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

const (
	// MaxRequest is the most bytes that a request in INBOX may have: a Slack
	// message has at most 40,000 characters.
	MaxRequest = 64 << 10
	// MaxLogChunk is the most bytes that a message in LOGS may have.
	MaxLogChunk = 128 << 10

	// maxCommit is eventlog.MaxCommit, which this package cannot import.
	maxCommit = 64 << 10
	// maxHeaders is room for the headers, which the server counts as part of a
	// message: expectations, batch, trace, origin.
	maxHeaders = 4 << 10
	// maxDead holds a whole request or commit inside a command.v1.Dead.
	maxDead = 2 * (maxCommit + maxHeaders)
	// maxHint: a command.v1.Hint is some hundred bytes.
	maxHint = 8 << 10
	// maxLease: a command.v1.Lease with many pools.
	maxLease = 16 << 10
	// maxCard: a command.v1.Card with a long reason.
	maxCard = 32 << 10

	// DedupeWindow is how long INBOX remembers request identities: longer than
	// Slack's last retry of an event, which comes after 5 minutes. It only
	// spares work; the identity of the run is what prevents doubles.
	DedupeWindow = 10 * time.Minute
	// LogAge is how long the output of steps is kept.
	LogAge = 14 * 24 * time.Hour
	// DeadAge is how long an operator has to look at a dead letter.
	DeadAge = 30 * 24 * time.Hour
	// canaryAge lets the marks of processes that are gone vanish.
	canaryAge = time.Hour
	// leaseMarkerAge is how long the bucket keeps the mark of a lapsed lease,
	// so that a watcher that was away for a moment still sees the end.
	leaseMarkerAge = time.Minute
)

// ConsumerIntake is the durable consumer that all replicas of the orchestrator
// share.
const ConsumerIntake = "INTAKE"

const (
	// intakeAckWait: a decision takes milliseconds, the election of a broker up
	// to 7 s; what is not acknowledged then goes to another replica.
	intakeAckWait = 10 * time.Second
	// intakePending bounds the requests in work over all replicas.
	intakePending = 1024
	// MaxAttempts is how often a request is delivered before the service puts
	// it into DEAD. The consumer itself has no limit, because the server forgets
	// a message at its limit and we never forget one.
	MaxAttempts = 5
	// poolAckWait: reading a run and claiming it takes milliseconds.
	poolAckWait = 5 * time.Second
	// poolPending bounds the hints that runners of a pool hold at one time.
	poolPending = 1024
)

// Spec is everything that has to exist, as data. KV buckets and the object
// store are streams, too, in the layout that clients expect (ADR-8, ADR-20).
type Spec struct {
	Replicas  int
	Streams   []jetstream.StreamConfig
	Consumers []Consumer
}

// Consumer is a durable consumer of a stream.
type Consumer struct {
	Stream string
	Config jetstream.ConsumerConfig
}

// Topology is Slipway's for one replica or three, which is chosen once.
// Pools are the runner pools known so far; EnsurePool adds one later.
func Topology(replicas int, limits Limits, pools ...string) Spec {
	spec := Spec{
		Replicas: replicas,
		Streams: []jetstream.StreamConfig{
			events(limits), inbox(limits), logs(limits, replicas), dead(limits), cards(limits), objects(limits), canary(), work(), leases(),
		},
		Consumers: []Consumer{{Stream: StreamInbox, Config: intake()}},
	}
	for i := range spec.Streams {
		spec.Streams[i].Replicas = replicas
	}
	for _, pool := range pools {
		spec.Consumers = append(spec.Consumers, Consumer{Stream: StreamWork, Config: poolConsumer(pool)})
	}
	return spec
}

// events never loses anything by itself: no age, no TTL, no roll-up, no
// schedules. Deletes stay allowed for the archiver.
func events(limits Limits) jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name: StreamEvents, Description: "the log that is the truth: one message is one commit",
		Subjects: []string{"ev.>"}, Storage: jetstream.FileStorage, Retention: jetstream.LimitsPolicy,
		MaxBytes: limits.Events, MaxMsgSize: maxCommit + maxHeaders, Discard: jetstream.DiscardNew,
		AllowDirect: true, AllowAtomicPublish: true,
	}
}

// inbox keeps by limits and not as a work queue, because the window against
// doubles survives a restart only for messages that are still stored. Handled
// messages are purged by PurgeInbox.
func inbox(limits Limits) jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name: StreamInbox, Description: "requests until they are handled",
		Subjects: []string{prefixInbox + ">"}, Storage: jetstream.FileStorage, Retention: jetstream.LimitsPolicy,
		MaxBytes: limits.Inbox, MaxMsgSize: MaxRequest + maxHeaders, Discard: jetstream.DiscardNew,
		Duplicates: DedupeWindow, AllowDirect: true,
	}
}

// logs may lose the last moments of output in a power cut: with one replica it
// is written without a flush per chunk. Oldest output goes first when full.
func logs(limits Limits, replicas int) jetstream.StreamConfig {
	cfg := jetstream.StreamConfig{
		Name: StreamLogs, Description: "output of steps",
		Subjects: []string{prefixLog + ">"}, Storage: jetstream.FileStorage, Retention: jetstream.LimitsPolicy,
		MaxAge: LogAge, MaxBytes: limits.Logs, MaxMsgSize: MaxLogChunk + maxHeaders, Discard: jetstream.DiscardOld,
		AllowDirect: true,
	}
	if replicas <= 1 { // the server allows it for one replica alone
		cfg.PersistMode = jetstream.AsyncPersistMode
	}
	return cfg
}

func dead(limits Limits) jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name: StreamDead, Description: "messages that no service could handle",
		Subjects: []string{prefixDead + ">"}, Storage: jetstream.FileStorage, Retention: jetstream.LimitsPolicy,
		MaxAge: DeadAge, MaxBytes: limits.Dead, MaxMsgSize: maxDead, Discard: jetstream.DiscardNew,
		AllowDirect: true,
	}
}

// work is a work queue, so that an acknowledged hint is gone at once and the
// one consumer of each pool hands every hint to one runner. A newer hint of the
// same run replaces the older one. When it is full the oldest hints go: hints
// are disposable, and those of a pool without runners must not keep the hints
// of others out. The dispatcher's sweep publishes again what was dropped.
func work() jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name: StreamWork, Description: "hints for runners, disposable",
		Subjects: []string{prefixWork + ">"}, Storage: jetstream.MemoryStorage, Retention: jetstream.WorkQueuePolicy,
		MaxMsgsPerSubject: 1, MaxBytes: workBytes, MaxMsgSize: maxHint, Discard: jetstream.DiscardOld,
		AllowDirect: true,
	}
}

// canary is written to by readiness checks: a full or broken disk says nothing
// of itself, so that only a write tells.
func canary() jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name: StreamCanary, Description: "proof that the disk takes writes",
		Subjects: []string{prefixCanary + "*"}, Storage: jetstream.FileStorage, Retention: jetstream.LimitsPolicy,
		MaxMsgsPerSubject: 1, MaxBytes: canaryBytes, MaxMsgSize: maxHeaders, Discard: jetstream.DiscardOld,
		MaxAge: canaryAge, AllowDirect: true,
	}
}

func leases() jetstream.StreamConfig {
	cfg := bucket(BucketLeases, "living runners and offices, disposable", leaseBytes, maxLease)
	cfg.Storage = jetstream.MemoryStorage
	cfg.AllowMsgTTL, cfg.SubjectDeleteMarkerTTL = true, leaseMarkerAge
	return cfg
}

func cards(limits Limits) jetstream.StreamConfig {
	return bucket(BucketCards, "what was posted where", limits.Cards, maxCard)
}

// bucket is the stream of a KV bucket with one value per key.
func bucket(name, description string, maxBytes int64, maxValue int32) jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name: "KV_" + name, Description: description, Subjects: []string{"$KV." + name + ".>"},
		Storage: jetstream.FileStorage, Retention: jetstream.LimitsPolicy, MaxMsgsPerSubject: 1,
		MaxBytes: maxBytes, MaxMsgSize: maxValue, Discard: jetstream.DiscardNew,
		AllowRollup: true, DenyDelete: true, AllowDirect: true,
	}
}

func objects(limits Limits) jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name: "OBJ_" + BucketObjects, Description: "artefacts, finished output, large plans",
		Subjects: []string{"$O." + BucketObjects + ".C.>", "$O." + BucketObjects + ".M.>"},
		Storage:  jetstream.FileStorage, Retention: jetstream.LimitsPolicy,
		MaxBytes: limits.Objects, Discard: jetstream.DiscardNew, AllowRollup: true, AllowDirect: true,
	}
}

func intake() jetstream.ConsumerConfig {
	return jetstream.ConsumerConfig{
		Durable: ConsumerIntake, AckPolicy: jetstream.AckExplicitPolicy, DeliverPolicy: jetstream.DeliverAllPolicy,
		AckWait: intakeAckWait, MaxAckPending: intakePending, MaxDeliver: -1,
	}
}

// PoolConsumerName is the durable consumer that the runners of a pool share.
func PoolConsumerName(pool string) string { return "pool-" + Safe(pool) }

func poolConsumer(pool string) jetstream.ConsumerConfig {
	return jetstream.ConsumerConfig{
		Durable: PoolConsumerName(pool), FilterSubject: WorkFilter(pool),
		AckPolicy: jetstream.AckExplicitPolicy, DeliverPolicy: jetstream.DeliverAllPolicy,
		AckWait: poolAckWait, MaxAckPending: poolPending, MaxDeliver: -1, MemoryStorage: true,
	}
}

// volatile tells whether a stream lives in memory and may therefore be absent.
func volatile(cfg jetstream.StreamConfig) bool { return cfg.Storage == jetstream.MemoryStorage }
