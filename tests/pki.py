"""Certificates for whole-server tests, made with the `openssl` command.

    with tempfile.TemporaryDirectory() as folder:
        pki = Pki(folder)
        ca = pki.ca('ca')
        server = pki.leaf(ca, 'server', san=['DNS:localhost', 'IP:127.0.0.1'])
        expired = pki.leaf(ca, 'late', not_before=-2 * DAY, not_after=-DAY)
        settings = [f'tls.certificate={server.certificate}', f'tls.private_key={server.key}',
                    f'tls.ca_file={ca.certificate}', f'tls.crl_file={pki.crl(ca, revoked=[web])}']

Times are seconds from now. All files lie in the folder: NAME.pem, NAME.key, NAME.crl. A name that is used again
replaces the file; to replace it at once, as a server must see it, use install().
"""
import os
import subprocess
import time
import typing

DAY = 86_400
CONFIG = """
[ca]
default_ca = this
[this]
database = {database}
new_certs_dir = {folder}
rand_serial = yes
unique_subject = no
default_md = sha256
default_crl_days = 30
policy = any
[any]
organizationName = optional
commonName = optional
[req]
distinguished_name = nothing
[nothing]
[extensions]
subjectKeyIdentifier = hash
{extensions}
"""


class Pair(typing.NamedTuple):
    """Paths of PEM files."""
    certificate: str
    key: str


def openssl(*words):
    done = subprocess.run(['openssl', *words], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise AssertionError(f'openssl {" ".join(words)}\n{done.stderr}')
    return done.stdout


def moment(seconds_from_now):
    return time.strftime('%Y%m%d%H%M%SZ', time.gmtime(time.time() + seconds_from_now))


def install(source, target):
    """Puts a copy of `source` in the place of `target`, at once."""
    with open(source, 'rb') as file, open(target + '.new', 'wb') as copy:
        copy.write(file.read())
    os.replace(target + '.new', target)


class Pki:
    def __init__(self, folder):
        self.folder = str(folder)

    def path(self, name):
        return os.path.join(self.folder, name)

    def ca(self, name, issuer=None, not_before=-3600, not_after=365 * DAY):
        """An authority: a root, or an intermediate one when it has an issuer."""
        extensions = ['basicConstraints = critical,CA:TRUE', 'keyUsage = critical,keyCertSign,cRLSign']
        return self._make(issuer, name, name, extensions, 'ec', not_before, not_after)

    def leaf(self, ca, name, san=(), cn=None, key='ec', not_before=-3600, not_after=30 * DAY, usage=None):
        """What `ca` issues; self-signed without one. `san` holds DNS: URI: IP: email: as openssl spells them."""
        extensions = ['basicConstraints = critical,CA:FALSE']
        if san:
            extensions.append('subjectAltName = ' + ','.join(san))
        if usage:
            extensions.append(f'extendedKeyUsage = {usage}')
        return self._make(ca, name, name if cn is None else cn, extensions, key, not_before, not_after)

    def crl(self, ca, revoked=(), name=None, last_update=-3600, next_update=30 * DAY):
        """The path of a list of `ca` that names the certificates of `revoked`."""
        path = self.path(name or os.path.basename(ca.certificate).removesuffix('.pem') + '.crl')
        config = self._config(path + '.cnf', [])
        issuer = ['-config', config, '-cert', ca.certificate, '-keyfile', ca.key]
        for pair in revoked:
            openssl('ca', *issuer, '-revoke', pair.certificate)
        openssl('ca', *issuer, '-gencrl', '-crl_lastupdate', moment(last_update), '-crl_nextupdate',
                moment(next_update), '-out', path)
        return path

    def bundle(self, name, *files):
        """The path of a file that holds the others, one behind the other."""
        with open(self.path(name), 'wb') as out:
            for path in files:
                with open(path, 'rb') as file:
                    out.write(file.read())
        return self.path(name)

    def _config(self, path, extensions):
        """Each call has a new, empty database: what was issued need not be remembered."""
        with open(path + '.index', 'w', encoding='ascii'):
            pass
        with open(path, 'w', encoding='utf-8') as file:
            file.write(CONFIG.format(database=path + '.index', folder=self.folder, extensions='\n'.join(extensions)))
        return path

    def _make(self, issuer, name, cn, extensions, key, not_before, not_after):
        pair = Pair(self.path(name + '.pem'), self.path(name + '.key'))
        request, config = self.path(name + '.csr'), self._config(self.path(name + '.cnf'), extensions)
        kind = {'ec': ['EC', '-pkeyopt', 'ec_paramgen_curve:P-256'],
                'rsa': ['RSA', '-pkeyopt', 'rsa_keygen_bits:2048']}[key]
        openssl('genpkey', '-algorithm', *kind, '-out', pair.key)
        openssl('req', '-new', '-config', config, '-key', pair.key, '-subj', f'/O=Pelikan tests/CN={cn}',
                '-utf8', '-out', request)
        signer = ['-keyfile', (issuer or pair).key] + (['-cert', issuer.certificate] if issuer else ['-selfsign'])
        openssl('ca', '-batch', '-notext', '-config', config, *signer, '-extensions', 'extensions', '-in', request,
                '-startdate', moment(not_before), '-enddate', moment(not_after), '-out', pair.certificate)
        return pair
