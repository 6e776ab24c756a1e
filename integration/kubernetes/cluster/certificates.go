// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"time"

	"containerd-shim-wazero/integration/room"
)

// proxyName is the API server's, as it asks an aggregated one.
const proxyName = "front-proxy"

// writeCertificates makes the cluster's authority, and what it signs.
func (c *Cluster) writeCertificates() error {
	ca := certificate("cluster-ca")
	ca.IsCA, ca.KeyUsage = true, x509.KeyUsageCertSign|x509.KeyUsageDigitalSignature
	key, err := c.write("ca", ca, ca, nil)
	if err != nil {
		return err
	}
	api := certificate("kube-apiserver")
	api.DNSNames = []string{"localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc"}
	for _, address := range []string{"127.0.0.1", room.Bridge, apiService} {
		api.IPAddresses = append(api.IPAddresses, net.ParseIP(address))
	}
	kubelets := certificate("kube-apiserver-kubelet-client") // what asks kubelets for logs
	kubelets.Subject.Organization = []string{"system:masters"}
	for name, template := range map[string]*x509.Certificate{
		"api": api, "kubelets": kubelets, "proxy": certificate(proxyName), "accounts": certificate("accounts"),
	} {
		if _, err := c.write(name, template, ca, key); err != nil {
			return err
		}
	}
	return nil
}

func certificate(name string) *x509.Certificate {
	return &x509.Certificate{
		SerialNumber:          big.NewInt(time.Now().UnixNano()),
		Subject:               pkix.Name{CommonName: name},
		NotBefore:             time.Now().Add(-time.Hour),
		NotAfter:              time.Now().Add(24 * time.Hour),
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		BasicConstraintsValid: true,
	}
}

// write writes NAME.crt and NAME.key, signed with the authority's key, or with
// its own where that is nil.
func (c *Cluster) write(name string, template, ca *x509.Certificate, signer crypto.Signer) (crypto.Signer, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	if signer == nil {
		signer = key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, ca, key.Public(), signer)
	if err != nil {
		return nil, err
	}
	private, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return nil, err
	}
	for file, block := range map[string]*pem.Block{
		name + ".crt": {Type: "CERTIFICATE", Bytes: der}, name + ".key": {Type: "EC PRIVATE KEY", Bytes: private},
	} {
		if err := os.WriteFile(c.file(file), pem.EncodeToMemory(block), 0o600); err != nil {
			return nil, err
		}
	}
	return key, nil
}
