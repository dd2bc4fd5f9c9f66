// The check of a FOST-signed request in nginx's own JavaScript: key, signature over method, path, time, headers and body, and the clock.
import crypto from 'crypto';

const SECRET = '@SECRET@';
const SKEW = 15;

function check(r) {
    const stamp = r.headersIn['X-FOST-Timestamp'] || '';
    const names = r.headersIn['X-FOST-Headers'] || '';
    const given = r.headersIn['Authorization'] || '';
    if (!given.startsWith('FOST bench:') || names.split(' ')[0] !== 'X-FOST-Headers') {
        return r.return(401);
    }
    const signed = Date.parse(stamp.slice(0, 19).replace(' ', 'T') + 'Z') / 1000;
    if (!(Math.abs(Date.now() / 1000 - signed) <= SKEW)) {
        return r.return(401);
    }
    const mac = crypto.createHmac('sha1', SECRET);
    mac.update(r.method + ' ' + r.uri + '\n' + stamp + '\n' + names.split(' ').map(name => r.headersIn[name]).join('\n') + '\n');
    mac.update(r.requestBuffer || r.variables.args || '');
    if (mac.digest('base64') !== given.slice(11)) {
        return r.return(401);
    }
    r.variables.fost_user = 'alice';
    r.internalRedirect('@signed');
}

export default { check };
