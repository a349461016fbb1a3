// Package load fills a real orchestrator with ten thousand jobs, lets a real
// runner drain them over an embedded server, and checks what must hold however
// long a queue is: the order within a job, every limit, fairness between
// namespaces, and that people who ask get an answer at once. Its log line ends
// up in docs/benchmarks.md.
package load
