// The pod sandbox: a program that waits and reaps.
module atoll.dev/lab/pause

go 1.24.0
