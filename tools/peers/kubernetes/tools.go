//go:build tools

// Package tools names what tools/peers/kubernetes.sh builds.
package tools

import (
	_ "k8s.io/kubernetes/cmd/kube-apiserver"
)
