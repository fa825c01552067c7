.PHONY: run test bench load

run:
	cargo run --release

test:
	bash .ci/test

bench:
	cargo bench

load:
	cargo build --release
	cargo run --release -p topicsync-tools --bin load
