module rule

go 1.24

require volley v0.0.0

replace volley => ./target/volley/go
