package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/slack-go/slack/slackevents"
	"github.com/slack-go/slack/socketmode"
)

const (
	stream  = "LIGHTBOT"
	subject = "lightbot.heard"
	// remembered is how long what was heard is kept for replicas that were away. It
	// is shorter than claims are remembered, so what was done is not done again.
	remembered = time.Hour
	maxHeard   = 10_000
	storeTime  = 2 * time.Second // Slack waits three for an acknowledgement
)

// message is what somebody said. Slack gives an event to any one of the open
// connections; the replica that gets it stores it, and then all hear it.
type message struct {
	Channel string `json:"channel"`
	TS      string `json:"ts"`
	Text    string `json:"text"`
}

// key is the message's identity: one mention arrives as two events.
func (m message) key() string { return m.Channel + "/" + m.TS }

type ear struct {
	js     jetstream.JetStream
	stream jetstream.Stream
}

func openEar(ctx context.Context, js jetstream.JetStream, replicas int) (*ear, error) {
	s, err := js.CreateOrUpdateStream(ctx, jetstream.StreamConfig{
		Name: stream, Subjects: []string{subject}, Replicas: replicas, MaxAge: remembered, MaxMsgs: maxHeard, Duplicates: remembered,
	})
	if err != nil {
		return nil, fmt.Errorf("open the stream %s: %w", stream, err)
	}
	return &ear{js, s}, nil
}

// listen stores what Slack tells this replica. What cannot be stored is not
// acknowledged, and Slack tells it again.
func listen(ctx context.Context, client *socketmode.Client, ear *ear) error {
	ended := make(chan error, 1)
	go func() { ended <- client.RunContext(ctx) }()
	for {
		select {
		case err := <-ended:
			return err
		case event := <-client.Events:
			if event.Type != socketmode.EventTypeEventsAPI || event.Request == nil {
				continue
			}
			if m, ok := said(event); ok {
				if err := ear.store(ctx, m); err != nil {
					log.Printf("not stored, Slack will repeat it: %v", err)
					continue
				}
			}
			if err := client.AckCtx(ctx, event.Request.EnvelopeID, nil); err != nil {
				log.Printf("not acknowledged, Slack will repeat it: %v", err)
			}
		}
	}
}

// said is what a person said, if that is what the event is about.
func said(event socketmode.Event) (message, bool) {
	outer, ok := event.Data.(slackevents.EventsAPIEvent)
	if !ok {
		return message{}, false
	}
	switch e := outer.InnerEvent.Data.(type) {
	case *slackevents.AppMentionEvent:
		return message{e.Channel, e.TimeStamp, e.Text}, e.BotID == ""
	case *slackevents.MessageEvent:
		return message{e.Channel, e.TimeStamp, e.Text}, e.BotID == "" && e.SubType == ""
	}
	return message{}, false
}

func (e *ear) store(ctx context.Context, m message) error {
	ctx, cancel := context.WithTimeout(ctx, storeTime)
	defer cancel()
	data, err := json.Marshal(m)
	if err != nil {
		return err
	}
	_, err = e.js.Publish(ctx, subject, data, jetstream.WithMsgID(m.key()))
	return err
}

// follow calls hear with everything that any replica has heard, from an hour ago
// on, in order. hear must not block.
func (e *ear) follow(ctx context.Context, hear func(context.Context, message)) error {
	consumer, err := e.stream.OrderedConsumer(ctx, jetstream.OrderedConsumerConfig{DeliverPolicy: jetstream.DeliverAllPolicy})
	if err != nil {
		return fmt.Errorf("follow the stream %s: %w", stream, err)
	}
	consuming, err := consumer.Consume(func(msg jetstream.Msg) {
		var m message
		if err := json.Unmarshal(msg.Data(), &m); err != nil {
			log.Printf("not understood: %v", err)
			return
		}
		hear(ctx, m)
	})
	if err != nil {
		return fmt.Errorf("follow the stream %s: %w", stream, err)
	}
	<-ctx.Done()
	consuming.Stop()
	return ctx.Err()
}
