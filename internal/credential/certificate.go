package credential

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"os"
	"path/filepath"
	"time"
)

const (
	// rootAge and leafAge: servers read a new certificate when they are told to
	// reload; renewing it is a run of this program after its file was removed.
	rootAge = 10 * 365 * 24 * time.Hour
	leafAge = 2 * 365 * 24 * time.Hour
)

// WriteCertificates makes an authority of Slipway's own in dir (ca.crt, ca.key) and
// one certificate for all NATS servers (tls.crt, tls.key), unless they exist. names
// are how clients and the servers themselves call a server.
func WriteCertificates(dir string, names []string) error {
	root, rootKey, err := authority(dir)
	if err != nil {
		return err
	}
	if _, err := os.Stat(filepath.Join(dir, "tls.crt")); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	leaf := template("slipway-nats", leafAge)
	leaf.DNSNames = names
	leaf.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth} // servers are each other's clients
	der, err := x509.CreateCertificate(rand.Reader, leaf, root, &key.PublicKey, rootKey)
	if err != nil {
		return fmt.Errorf("sign the certificate of NATS: %w", err)
	}
	return save(dir, "tls", der, key)
}

func authority(dir string) (*x509.Certificate, *ecdsa.PrivateKey, error) {
	if _, err := os.Stat(filepath.Join(dir, "ca.crt")); errors.Is(err, fs.ErrNotExist) {
		if err := makeAuthority(dir); err != nil {
			return nil, nil, fmt.Errorf("make an authority: %w", err)
		}
	}
	crt, err := decode(filepath.Join(dir, "ca.crt"))
	if err != nil {
		return nil, nil, err
	}
	root, err := x509.ParseCertificate(crt)
	if err != nil {
		return nil, nil, fmt.Errorf("read ca.crt: %w", err)
	}
	der, err := decode(filepath.Join(dir, "ca.key"))
	if err != nil {
		return nil, nil, err
	}
	key, err := x509.ParseECPrivateKey(der)
	if err != nil {
		return nil, nil, fmt.Errorf("read ca.key: %w", err)
	}
	return root, key, nil
}

func makeAuthority(dir string) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	root := template("Slipway's NATS", rootAge)
	root.IsCA, root.BasicConstraintsValid = true, true
	root.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageCRLSign
	der, err := x509.CreateCertificate(rand.Reader, root, root, &key.PublicKey, key)
	if err != nil {
		return err
	}
	return save(dir, "ca", der, key)
}

func template(name string, age time.Duration) *x509.Certificate {
	serial, _ := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127)) // fails for no number but zero
	return &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(age), // an hour for clocks that differ
		KeyUsage: x509.KeyUsageDigitalSignature,
	}
}

func save(dir, name string, der []byte, key *ecdsa.PrivateKey) error {
	private, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, name+".key"), pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: private}), 0o600); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, name+".crt"), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600)
}

func decode(path string) ([]byte, error) {
	data, err := os.ReadFile(path) //nolint:gosec // below the operator's folder
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(data)
	if block == nil {
		return nil, fmt.Errorf("%s holds no PEM", path)
	}
	return block.Bytes, nil
}
