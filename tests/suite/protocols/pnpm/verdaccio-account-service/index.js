// Verdaccio takes the Bearer tokens that the account service issued, and nothing else.
class AccountService {
  constructor({ url }) {
    this.url = url
  }

  apiJWTmiddleware({ createAnonymousRemoteUser, createRemoteUser }) {
    return async (request, response, next) => {
      // The body must wait until the service has answered.
      request.pause()
      const user = await this.owner(request.headers.authorization ?? '')
      request.remote_user = user ? createRemoteUser(user, []) : createAnonymousRemoteUser()
      response.locals.remote_user = request.remote_user
      request.resume()
      next()
    }
  }

  async owner(authorization) {
    const answer = await fetch(`${this.url}/v1/me`, { headers: { authorization } })
    return (await answer.json()).id
  }

  // There are no passwords.
  authenticate(user, password, done) {
    done(null, false)
  }
}

module.exports = (config) => new AccountService(config)
