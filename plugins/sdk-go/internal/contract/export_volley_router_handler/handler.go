// Package export_volley_router_handler is where the generated bindings look for the rule. Package volley puts it there.
package export_volley_router_handler

import (
	"volley/internal/contract/volley_router_handler"
	"volley/internal/contract/volley_router_logger"
	"volley/internal/contract/volley_router_types"
	"volley/internal/wit/types"
)

var (
	// Info is asked first, so the others are there if it is.
	Info = func() volley_router_handler.PluginInfo {
		words := "there is no rule: call volley.Export in an init function of package main"
		volley_router_logger.Log(volley_router_logger.LevelError, words)
		panic(words)
	}
	Init  func(config string) types.Result[types.Unit, string]
	Route func(event volley_router_types.Event) types.Result[volley_router_types.Outcome, volley_router_types.Refusal]
)
