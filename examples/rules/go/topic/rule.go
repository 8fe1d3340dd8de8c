// To all subscribers of the topic, unchanged.
package main

import "volley"

func init() {
	volley.Export(volley.Rule{Name: "topic", Version: "0.1.0", Description: "to all subscribers of the topic", Route: route})
}

func main() {}

func route(event *volley.Event) (volley.Answer, error) {
	if event.Kind != volley.Publish {
		return volley.Nothing(), nil
	}
	return volley.Forward(event.Subscribers()), nil
}
